"""Progress on stderr: a bar at a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from tmcir.core.progress import Progress

LINE_SECONDS = 30.0  # between lines of progress where there is no terminal


@contextmanager
def progress_bar(description: str) -> Iterator[Progress]:
    """Show a progress bar on stderr, or lines where that is no terminal; yield what moves it."""
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield progress_lines(description)
        return
    columns = (
        progress.TextColumn(description),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def progress_lines(description: str) -> Progress:
    """Return what prints a line every ``LINE_SECONDS``, for logs."""
    began = spoken = time.monotonic()
    first: int | None = None

    def move(done: int, total: int) -> None:
        nonlocal began, spoken, first
        now = time.monotonic()
        if first is None:  # the speed is that from here on, without the time of loading
            began, first = now, done
        if now - spoken < LINE_SECONDS or done <= first:
            return
        spoken = now
        left = (now - began) / (done - first) * (total - done)
        typer.echo(f"{description}  {done}/{total}  {left / 60:.1f} min left", err=True)

    return move
