"""The command line: parse, call one function, print."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tmcir import __version__
from tmcir.errors import TMCIRError

app = typer.Typer(
    name="tmcir",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Composed image retrieval: this image, but ...",
)
data_app = typer.Typer(no_args_is_help=True, help="Look at datasets.")
app.add_typer(data_app, name="data")


def _version(show: bool) -> None:
    if show:
        typer.echo(f"tmcir {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Composed image retrieval: this image, but ..."""


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a shipped recipe, or a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings to change, as dotted.key=value.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check the recipe and its data, and stop.")
    ] = False,
) -> None:
    """Train the stages that a recipe lists; a run that was killed goes on where it stood.

    Example: `tmcir train fashion-products-short dataset.root=photos stages.fuse.epochs=3`
    """
    from tmcir.evaluation import validation_score
    from tmcir.training import load_recipe, train

    settings = load_recipe(recipe, overrides or [])
    if check:
        typer.echo(f"{recipe}: nothing wrong")
        return
    model = train(settings, validation_score)
    typer.echo(f"model: {model}")


@app.command()
def recipes() -> None:
    """List the recipes that the package ships.

    Example: `tmcir recipes`
    """
    from tmcir.training import load_recipe, recipe_names

    for name in recipe_names():
        typer.echo(f"{name:28}{load_recipe(name).description}")


@app.command()
def doctor() -> None:
    """Print versions and devices, for a bug report.

    Example: `tmcir doctor`
    """
    from tmcir.doctor import report

    typer.echo(report())


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    try:
        app()
    except TMCIRError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
