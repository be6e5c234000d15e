"""`tmcir evaluate` and `tmcir submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tmcir.cli.data import open_dataset
from tmcir.cli.options import (
    BatchSize,
    Categories,
    DatasetOptions,
    DatasetRoot,
    Json,
    Method,
    ModelName,
    Split,
)
from tmcir.cli.output import print_json
from tmcir.cli.progress import progress_bar


def evaluate(
    model: ModelName,
    dataset: Annotated[str, typer.Option(help="Name of the dataset, as for `tmcir data check`.")],
    root: DatasetRoot,
    split: Split = None,
    protocol: Annotated[
        str | None, typer.Option(help="Evaluation protocol; without it the dataset's first.")
    ] = None,
    method: Method = "model",
    categories: Categories = None,
    option: DatasetOptions = None,
    batch_size: BatchSize = 64,
    balance: Annotated[
        bool, typer.Option("--balance", help="Measure how far queries follow image and text, too.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Write the report to this JSON file, too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a model by a dataset's protocol.

    Figures are percent, with 95% intervals over queries.

    \b
    Example:
      tmcir evaluate mini --dataset fashion-iq --root data/fashion-iq --output report.json
    """
    from tmcir.core.files import require_writable
    from tmcir.evaluation import evaluate
    from tmcir.models import load

    opened = open_dataset(dataset, root, split, categories, option)
    opened.check_protocol(protocol)
    if output is not None:
        require_writable(output)
    with progress_bar("encoding images") as progress:
        report = evaluate(load(model), opened, protocol, method, batch_size, progress, balance)
    if output is not None:
        report.save(output)
    if as_json:
        print_json(report.as_dict())
    else:
        typer.echo(report)


def submit(
    dataset: Annotated[str, typer.Argument(help="cirr or circo.")],
    model: ModelName,
    root: DatasetRoot,
    out: Annotated[Path, typer.Option(help="Folder that gets the files.")],
    split: Annotated[
        str | None, typer.Option(help="The split; without it test1 of CIRR, test of CIRCO.")
    ] = None,
    method: Method = "model",
    batch_size: BatchSize = 64,
    as_json: Json = False,
) -> None:
    """Write files for the test servers of CIRR and CIRCO.

    \b
    Example:
      tmcir submit cirr mini --root data/cirr --out submission
    """
    from tmcir.core.files import require_writable
    from tmcir.evaluation.submission import open_hidden_split, submit
    from tmcir.models import load

    opened = open_hidden_split(dataset, root, split)
    require_writable(out / "submission.json")
    with progress_bar("encoding images") as progress:
        files = submit(load(model), opened, out, method, batch_size, progress)
    if as_json:
        print_json({"files": files})
        return
    for file in files:
        typer.echo(file)
