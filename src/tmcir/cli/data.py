"""`tmcir data check`, and opening a dataset for other commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tmcir.cli.options import Categories, DatasetOptions, DatasetRoot, Json, Split
from tmcir.cli.output import print_json
from tmcir.cli.progress import progress_bar

if TYPE_CHECKING:
    from tmcir.data.dataset import Dataset


def check(
    dataset: Annotated[
        str,
        typer.Argument(
            help="fashion-iq, cirr, circo, fashion-products, catalogue, jsonl or rendered."
        ),
    ],
    root: DatasetRoot,
    split: Split = None,
    categories: Categories = None,
    option: DatasetOptions = None,
    as_json: Json = False,
) -> None:
    """Count queries and galleries, and name every missing or broken image.

    Exits with code 1 if there is one; a folder with annotation only is no error.

    \b
    Example:
      tmcir data check fashion-iq --root data/fashion-iq --split val
    """
    from tmcir.data.check import check_dataset

    opened = open_dataset(dataset, root, split, categories, option)
    with progress_bar("reading images") as progress:
        found = check_dataset(opened, progress)
    if as_json:
        print_json(found.as_dict())
    else:
        typer.echo(found)
    if not found.good and not found.annotation_only:
        raise typer.Exit(1)


def open_dataset(
    name: str,
    root: Path,
    split: str | None,
    categories: str | None,
    given: list[str] | None = None,
) -> Dataset:
    """Open a dataset as the options say.

    Raises:
        TMCIRError: The dataset, the split or an option is unknown, or the folder lacks a file.
    """
    from tmcir.data.datasets import open_dataset
    from tmcir.runs.recipes import parse_override

    options = dict(parse_override(one) for one in given or [])
    if categories is not None:
        options["categories"] = categories
    return open_dataset(name, root, split, **options)
