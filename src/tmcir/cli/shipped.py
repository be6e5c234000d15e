"""`tmcir recipes` and `tmcir models`: what the package ships."""

from __future__ import annotations

from typing import Annotated

import typer

from tmcir.cli.options import Json
from tmcir.cli.output import print_json, program


def recipes(
    name: Annotated[
        str | None, typer.Argument(help="Print this recipe, to start your own from.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the shipped recipes and their commands, or print one.

    \b
    Example:
      tmcir recipes
      tmcir recipes mini > mine.yaml
    """
    from tmcir.runs.recipes import (
        recipe_command,
        recipe_content,
        recipe_description,
        recipe_names,
        recipe_text,
    )

    if name is not None:
        if as_json:
            print_json(recipe_content(name))
        else:
            typer.echo(recipe_text(name), nl=False)
        return
    rows = [(name, recipe_command(name), recipe_description(name)) for name in recipe_names()]
    if as_json:
        print_json(
            [dict(zip(("name", "command", "description"), row, strict=True)) for row in rows]
        )
        return
    for name, command, description in rows:
        typer.echo(f"{name:32}{command:14}{description}")


def models(as_json: Json = False) -> None:
    """List the shipped models and editors.

    They need no network.

    \b
    Example:
      tmcir models
    """
    from tmcir.core.shipped import EDITOR_INDEX, MODEL_INDEX, shipped_names

    uses = {
        "model": (MODEL_INDEX, "tmcir index GALLERY PHOTOS --model {name}"),
        "editor": (EDITOR_INDEX, "tmcir generate RECIPE editor.source={name}"),
    }
    rows = [
        {"name": name, "kind": kind, "use": use.format(name=name).replace("tmcir", program(), 1)}
        for kind, (index, use) in uses.items()
        for name in shipped_names(index)
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['name']:28}{row['kind']:14}{row['use']}")
