"""`tmcir quickstart`."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

from tmcir.cli.options import Json
from tmcir.cli.output import only_json, print_json, program
from tmcir.cli.progress import progress_bar
from tmcir.core.progress import Progress


def quickstart(
    folder: Annotated[Path, typer.Option(help="Folder that gets everything.")] = Path(
        "runs/quickstart"
    ),
    as_json: Json = False,
) -> None:
    """See everything work, small, in about five minutes.

    Needs neither data nor network. Draws a catalogue of garments, makes pseudo-targets, trains a
    new composition over the shipped model's towers, measures it, indexes the catalogue and answers
    queries on one page. A run that was stopped resumes.

    \b
    Example:
      tmcir quickstart
    """
    from tmcir.quickstart import quickstart

    with only_json(as_json):
        report = quickstart(folder, _Console())
    if as_json:
        print_json(report.as_dict())
        return
    minutes, seconds = divmod(round(report.seconds), 60)
    tmcir, gallery = program(), shlex.quote(str(report.gallery))
    typer.echo(
        f"done in {minutes} min {seconds:02d} s, peak memory {report.memory / 1e9:.1f} GB\n"
        f"look at it: {report.page}\n"
        "\n"
        "Search it in your own words:\n"
        f'  {tmcir} search {gallery} --text "a red dress with lace trim" --html hits.html\n'
        "Then your own photos:\n"
        f"  {tmcir} index shop PHOTOS --model mini\n"
        f'  {tmcir} search shop --image PHOTO --text "the same in navy" --html hits.html\n'
        "To train a model on your own catalogue: docs/training.md"
    )


class _Console:
    """Prints to the terminal."""

    def print(self, line: str) -> None:
        typer.echo(line)

    def progress(self, description: str) -> AbstractContextManager[Progress]:
        return progress_bar(description)
