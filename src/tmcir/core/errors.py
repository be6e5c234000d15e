"""Errors that a person can fix: one line that names the problem and the way out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, requires
from urllib.parse import urlparse
from urllib.request import url2pathname


class TMCIRError(Exception):
    """Bad input. The command line prints the message as one line and exits with code 2."""


class ImageError(TMCIRError):
    """An image that is missing, broken or too large to decode. The message names the file."""


class UnknownItemError(TMCIRError):
    """An id that no photo of a gallery has."""


class QueryError(TMCIRError):
    """A well-formed query that names something missing, or that this gallery cannot answer."""


def missing_package(error: ModuleNotFoundError) -> TMCIRError | None:
    """Build the error for a package of an extra that is not installed; None for any other."""
    package = (error.name or "").partition(".")[0].replace("_", "-").lower()
    found = {len(names): extra for extra, names in extras().items() if extra and package in names}
    if not found:
        return None
    # The smallest: some extras contain others.
    command = install_command(found[min(found)])
    return TMCIRError(f"{error.name} is not installed: `{command}` installs it")


@cache
def extras() -> dict[str, tuple[str, ...]]:
    """Return the packages of each extra by its name, as the installed metadata lists them.

    The key ``""`` holds what every installation has. Empty where the package is not installed.
    """
    found: dict[str, list[str]] = {}
    for line in _installed_requirements():
        requirement, _, marker = line.partition(";")
        extra = re.search(r"""extra == ['"]([^'"]+)""", marker)
        name = re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0]
        if name != "tmcir":  # an extra that contains another one
            found.setdefault(extra[1] if extra else "", []).append(name.lower().replace("_", "-"))
    return {extra: tuple(names) for extra, names in found.items()}


def install_command(extra: str) -> str:
    """Return the command that installs an extra, from the source tree where that is installed."""
    try:
        origin = distribution("tmcir").read_text("direct_url.json")
    except PackageNotFoundError:
        origin = None
    content = json.loads(origin or "{}")
    if not content.get("url", "").startswith("file:"):
        return f'pip install "tmcir[{extra}]"'
    editable = "-e " if content.get("dir_info", {}).get("editable") else ""
    return f'pip install {editable}"{url2pathname(urlparse(content["url"]).path)}[{extra}]"'


def _installed_requirements() -> list[str]:
    try:
        return requires("tmcir") or []
    except PackageNotFoundError:
        return []


def first_line(error: BaseException) -> str:
    """Return the first informative line of an error's message, or its class name.

    A line that ends in a colon only announces what follows.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = (line for line in lines if not line.endswith(":"))
    return next(telling, lines[0] if lines else type(error).__name__)


def unknown_choice(what: str, given: str, choices: Iterable[str]) -> TMCIRError:
    """Build the error for a name that is not among ``choices``, with the nearest valid one."""
    names = sorted(choices)
    near = get_close_matches(given, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return TMCIRError(f"unknown {what} {given!r}: {hint}valid: {listed(names)}")


def listed(names: Sequence[str], limit: int = 20) -> str:
    """Return names separated by commas, and beyond ``limit`` only how many more there are."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown}, ..., and {len(names) - limit:,} more"
