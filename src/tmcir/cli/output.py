"""Output of commands: lines for people, JSON for programs, and the next commands."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import typer


def make_encodable() -> None:
    """Escape characters that stdout's encoding lacks (a pipe on Windows is cp1252)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def print_json(content: Any) -> None:
    """Print a JSON value (paths as text) as the only output of a command."""
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    typer.echo(json.dumps(content, indent=2, ensure_ascii=encoding != "utf8", default=_as_text))


@contextmanager
def only_json(as_json: bool) -> Iterator[None]:
    """Send what the block prints to stderr where stdout is for JSON alone."""
    if not as_json:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield


def program() -> str:
    """Return how to start this program from the current folder: ``tmcir`` or a path to it."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{_path_to(Path(sys.executable))} -m tmcir"
    found = shutil.which("tmcir")
    if not started.is_file() or (found is not None and Path(found).samefile(started)):
        return "tmcir"
    return _path_to(started)


def runnable(text: str) -> str:
    """Return a text in which each command in backticks works when it is pasted here."""
    if (name := program()) != "tmcir":
        text = re.sub(r"`tmcir(?=[ `])", lambda match: f"`{name}", text)
    pip = Path(sys.executable).with_name("pip")
    if shutil.which("pip") != str(pip) and pip.is_file():
        text = re.sub(r"`pip(?= )", lambda match: f"`{_path_to(pip)}", text)
    return text


def _path_to(file: Path) -> str:
    """Return a path for a shell, relative to the current folder where the file is below it."""
    path, here = file.absolute(), Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def _as_text(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not of JSON's kinds")
