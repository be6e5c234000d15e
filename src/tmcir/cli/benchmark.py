"""`tmcir benchmark`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tmcir.cli.options import Json, RecipeName
from tmcir.cli.output import print_json
from tmcir.core.errors import TMCIRError


def benchmark(
    recipe: RecipeName,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Settings to change, of the base recipe too, as dotted.key=value."),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Seeds, such as 0 1 2; one number says how many.")
    ] = None,
    cells: Annotated[
        str | None, typer.Option(help="Names of the cells to run, such as sum tirg; else all.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of all results; without it runs/RECIPE.")
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, help="Cells trained at once; they share the cores.")
    ] = 1,
    as_json: Json = False,
) -> None:
    """Train and compare methods and ablations in one table.

    A run that was stopped resumes. Exits with code 1 if a cell failed; the table says which is
    missing.

    \b
    Example:
      tmcir benchmark benchmark-fashion-products dataset.root=data/fashion-products --seeds 0 1 2
    """
    from tmcir.benchmark import load_benchmark, run_benchmark
    from tmcir.benchmark.table import table

    given = overrides or []
    if output is not None:
        given = [*given, f"output={json.dumps(str(output))}"]
    settings = load_benchmark(recipe, given)
    results = run_benchmark(
        settings,
        [] if cells is None else cells.split(","),
        [] if seeds is None else _seeds(seeds),
        processes,
        lambda line: typer.echo(line, err=True),
    )
    if as_json:
        print_json(results.as_dict())
    else:
        typer.echo(table(results), nl=False)
    typer.echo(f"results: {settings.folder}", err=True)
    if not results.complete:
        raise typer.Exit(1)


def _seeds(given: str) -> list[int]:
    """Return the seeds that ``0,1,2`` lists; a single number says how many."""
    parts = given.split(",")
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise TMCIRError(f"--seeds {given}: write each seed once, such as 0 1 2, or how many")
    if len(parts) > 1:
        return [int(part) for part in parts]
    if int(given) < 1:
        raise TMCIRError(f"--seeds {given}: at least one seed is needed")
    return list(range(int(given)))
