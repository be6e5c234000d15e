"""The program `tmcir`: its commands, and how mistakes end."""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from tmcir import __version__
from tmcir.cli import (
    benchmark,
    data,
    doctor,
    evaluation,
    gallery,
    generation,
    quickstart,
    runtime,
    search,
    service,
    shipped,
    training,
    tuning,
)
from tmcir.cli.commands import INTERRUPTED, BenchmarkCommand, Command, ResumableCommand
from tmcir.cli.output import make_encodable, program, runnable
from tmcir.core.errors import TMCIRError, missing_package

# Plain help: it needs no rich, is quick, and every terminal can show it.
app = typer.Typer(
    name="tmcir",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Composed image retrieval: this image, but ...",
)
data_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at datasets.")
gallery_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Look at a gallery, and change it."
)

app.command(cls=ResumableCommand)(quickstart.quickstart)
app.command(cls=ResumableCommand)(gallery.index)
app.command(cls=Command)(search.search)
app.command(cls=Command)(search.explain)
app.command(cls=Command)(service.serve)
app.command(cls=Command)(runtime.export)
app.add_typer(gallery_app, name="gallery")
gallery_app.command(cls=Command)(gallery.info)
gallery_app.command(cls=Command)(gallery.remove)
gallery_app.command(cls=Command)(gallery.restore)
gallery_app.command(cls=Command)(gallery.export)
app.command(cls=ResumableCommand)(tuning.tune)
app.command(cls=ResumableCommand)(training.train)
app.command(cls=ResumableCommand)(generation.generate)
app.command("train-editor", cls=ResumableCommand)(generation.train_editor)
app.command(cls=Command)(evaluation.evaluate)
app.command(cls=Command)(evaluation.submit)
app.command(cls=BenchmarkCommand)(benchmark.benchmark)
app.add_typer(data_app, name="data")
data_app.command(cls=Command)(data.check)
app.command(cls=Command)(shipped.recipes)
app.command(cls=Command)(shipped.models)
app.command(cls=Command)(doctor.doctor)


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


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    make_encodable()
    try:
        sys.exit(app(prog_name=program(), standalone_mode=False))
    except TMCIRError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if missing is None:
            raise
        _fail(str(missing))
    except TyperException as error:  # an unknown command, a value of the wrong kind
        _fail_usage(error)
    except KeyboardInterrupt:
        typer.echo(Command.stopped, err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # what reads our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # a disk that is full, a folder that vanished
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.echo(f"error: {runnable(message)}", err=True)
    sys.exit(2)


def _fail_usage(error: TyperException) -> NoReturn:
    context = getattr(error, "ctx", None)
    message = str(getattr(error, "format_message", lambda: error)()).rstrip(".")
    if context is None:
        _fail(message)
    if message.startswith("Usage:"):  # no argument at all: the help is the answer
        typer.echo(message, err=True)
        sys.exit(2)
    _fail(f"{message}; see `{context.command_path} --help`")
