"""`tmcir generate` and `tmcir train-editor`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from tmcir.cli.options import Json, Overrides, RecipeName
from tmcir.cli.output import only_json, print_json
from tmcir.cli.progress import progress_bar
from tmcir.core.errors import TMCIRError


def generate(
    recipe: RecipeName,
    overrides: Overrides = None,
    shard: Annotated[
        str, typer.Option(help="i/n: make the i-th of n parts, on as many machines.")
    ] = "1/1",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first triplets of the shard, this many.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make pseudo-targets: references edited as texts say.

    A run that was stopped resumes. With other thresholds than before, the pseudo-targets that
    exist are filtered again.

    \b
    Example:
      tmcir generate quickstart-pseudo-targets --limit 200
    """
    from tmcir.core.text import on_one_line
    from tmcir.generation import generate, load_generate_recipe

    settings = load_generate_recipe(recipe, overrides or [])
    with only_json(as_json), progress_bar("editing") as progress:
        report = generate(settings, _shard(shard), limit, progress)
    if as_json:
        print_json(dataclasses.asdict(report))
        return
    for name, reason in report.skipped:
        typer.echo(f"skipped {on_one_line(name)}: {reason}", err=True)
    typer.echo(report)


def _shard(given: str) -> tuple[int, int]:
    number, separator, count = given.partition("/")
    if not (separator and number.isdecimal() and count.isdecimal()):
        raise TMCIRError(f"--shard {given}: write i/n, such as 1/4 for the first of four parts")
    return int(number), int(count)


def train_editor(recipe: RecipeName, overrides: Overrides = None, as_json: Json = False) -> None:
    """Train a small image editor for pseudo-targets.

    A run that was stopped resumes.

    \b
    Example:
      tmcir train-editor fashion-products-editor dataset.root=data/fashion-products
    """
    from tmcir.generation import load_editor_recipe, train_editor

    with only_json(as_json):
        editor = train_editor(load_editor_recipe(recipe, overrides or []))
    if as_json:
        print_json({"recipe": recipe, "editor": editor})
    else:
        typer.echo(f"editor: {editor}")
