"""`tmcir train`."""

from __future__ import annotations

from typing import Annotated

import typer

from tmcir.cli.options import Json, Overrides, RecipeName
from tmcir.cli.output import only_json, print_json


def train(
    recipe: RecipeName,
    overrides: Overrides = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check the recipe and its data, and stop.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a model as a recipe says.

    A run that was stopped resumes.

    \b
    Example:
      tmcir train fashion-products-short dataset.root=data/fashion-products stages.fuse.epochs=3
    """
    from tmcir.evaluation import score_weights, validation_score
    from tmcir.training import check_run, load_recipe, train

    settings = load_recipe(recipe, overrides or [])
    if check:
        check_run(settings)
        if as_json:
            print_json({"recipe": recipe, "problems": []})
        else:
            typer.echo(f"{recipe}: nothing wrong")
        return
    with only_json(as_json):
        model = train(settings, validation_score, score_weights)
    if as_json:
        print_json({"recipe": recipe, "model": model})
    else:
        typer.echo(f"model: {model}")
