"""`tmcir export`: graphs that search without torch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from tmcir.cli.options import Json, ModelName
from tmcir.cli.output import print_json


def export(
    model: ModelName,
    directory: Annotated[
        Path,
        typer.Argument(help="The model's own directory, or another one to copy the model into."),
    ],
    as_json: Json = False,
) -> None:
    """Write graphs that search without torch.

    Commands search, index, serve and explain run them. They hold no weights: they read those of
    model.safetensors beside them. Export again when that file changes; until then, torch runs the
    model.

    \b
    Example:
      tmcir export mini shop-model
    """
    from tmcir.runtime.export import export as export_graphs

    report = export_graphs(model, directory)
    if as_json:
        print_json(dataclasses.asdict(report))
        return
    typer.echo(
        f"{report.folder}: graphs of {report.bytes / 1000:,.0f} kB, equal to torch to"
        f" {report.difference:.0e}"
    )
