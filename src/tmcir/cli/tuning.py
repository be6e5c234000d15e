"""`tmcir tune`."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tmcir.cli.options import Json, split_names
from tmcir.cli.output import only_json, print_json, program
from tmcir.cli.progress import progress_bar
from tmcir.core.files import expand_user
from tmcir.core.progress import Progress

if TYPE_CHECKING:
    from tmcir.tuning.result import Tuned

NOT_BETTER = 3
"""Exit code where tuning gave no better model, and the start model is kept."""

MetadataKey = Annotated[
    str | None, typer.Option(help="Column that names the photos; found if not given.")
]
Columns = Annotated[
    str | None,
    typer.Option(
        help="Columns that texts change, such as colour,kind; by default those that photos show."
    ),
]
Group = Annotated[
    str | None, typer.Option(help="Column that is the same for all photos of a product.")
]
Bins = Annotated[
    str | None, typer.Option(help="Columns of numbers to take in steps, such as price=4.")
]
PhrasesFile = Annotated[
    Path | None, typer.Option(help="YAML with your own words for texts, in any language.")
]
Epochs = Annotated[
    int | None, typer.Option(min=1, help="Passes over the photos; chosen if not given.")
]
Cache = Annotated[
    Path | None, typer.Option(help="Folder of encoded photos, for the next run to find.")
]


def tune(
    photos: Annotated[Path, typer.Argument(help="Folder of photos, searched recursively.")],
    metadata: Annotated[Path, typer.Option(help="CSV with a row per photo.")],
    output: Annotated[Path, typer.Option(help="Folder that gets the model, and a page.")],
    model: Annotated[str, typer.Option(help="Model to start from: name, directory or id.")] = (
        "mini"
    ),
    metadata_key: MetadataKey = None,
    columns: Columns = None,
    group: Group = None,
    bins: Bins = None,
    phrases: PhrasesFile = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes everything that is random.")] = 0,
    epochs: Epochs = None,
    full: Annotated[
        bool, typer.Option("--full", help="Train the towers, too: hours on a CPU.")
    ] = False,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Tune a model on a folder of photos and a CSV.

    Every photo is encoded once; the heads of the model are trained on texts that the table's
    columns give, and both models are measured on held-out products. A run that was stopped
    resumes. Exits with code 3 if the tuned model is not better beyond noise: the output then holds
    the start model.

    \b
    Example:
      tmcir tune photos --metadata garments.csv --output shop-model
    """
    from tmcir.tuning.result import as_json as content
    from tmcir.tuning.tune import tune

    steps = _bins(bins)
    with only_json(as_json):
        tuned = tune(
            photos,
            metadata,
            output=output,
            model=model,
            key=metadata_key,
            columns=None if columns is None else split_names(columns),
            group=group,
            bins=steps,
            phrases=phrases,
            seed=seed,
            epochs=epochs,
            full=full,
            cache=cache,
            console=_Console(),
        )
    if as_json:
        print_json(content(tuned))
    else:
        _print_result(tuned, model, expand_user(photos), expand_user(metadata))
    if not tuned.better:
        raise typer.Exit(NOT_BETTER)


def _print_result(tuned: Tuned, model: str, photos: Path, metadata: Path) -> None:
    minutes, seconds = divmod(round(tuned.seconds), 60)
    typer.echo(f"\ndone in {minutes} min {seconds:02d} s; look at {tuned.page}\n")
    gallery = f"{program()} index shop {shlex.quote(str(photos))}"
    table = f"--metadata {shlex.quote(str(metadata))}"
    if tuned.better:
        typer.echo(
            "Use the tuned model, in a new gallery:\n"
            f"  {gallery} {table} --model {shlex.quote(str(tuned.output))}"
        )
    else:
        typer.echo(
            f"The tuned model is not better beyond noise: {tuned.output} holds {model} as it was."
        )


def _bins(text: str | None) -> dict[str, int]:
    """Return steps by column from ``price=4,weight=3``."""
    from tmcir.core.errors import TMCIRError

    found: dict[str, int] = {}
    for part in split_names(text or ""):
        name, _, count = part.rpartition("=")
        if not name or not count.isdecimal():
            raise TMCIRError(f"--bins {part}: write column=steps, such as price=4")
        found[name] = int(count)
    return found


class _Console:
    """Prints to the terminal."""

    def print(self, line: str) -> None:
        typer.echo(line)

    def progress(self, description: str) -> AbstractContextManager[Progress]:
        return progress_bar(description)
