"""Errors that a person can mend: one line that names what is wrong and the way out."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class TMCIRError(Exception):
    """Bad input. The command line prints the message as one line and exits with code 2."""


class ImageError(TMCIRError):
    """An image that is missing, broken or too large to decode. The message names the file."""


class UnknownItemError(TMCIRError):
    """An id that no photo of a gallery has."""


class QueryError(TMCIRError):
    """A query that is well formed but points nowhere, or that this gallery cannot answer."""


# What each extra of the package brings, by the names that are imported.
_EXTRAS = {
    "train": ("accelerate", "peft", "tensorboard"),
    "generate": ("diffusers",),
    "benchmark": ("matplotlib", "scipy"),
    "serve": ("fastapi", "uvicorn", "multipart", "python_multipart", "prometheus_client"),
    "milvus": ("pymilvus", "sqlglot"),
}


def missing_package(error: ModuleNotFoundError) -> TMCIRError | None:
    """Build the error for a package of an extra that is not installed; None for any other."""
    package = (error.name or "").partition(".")[0]
    for extra, packages in _EXTRAS.items():
        if package in packages:
            return TMCIRError(
                f'{package} is not installed: `pip install "tmcir[{extra}]"` brings it'
            )
    return None


def first_line(error: BaseException) -> str:
    """Return what an error of a library says, cut to one line; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def unknown_choice(what: str, given: str, choices: Iterable[str]) -> TMCIRError:
    """Build the error for a name that is not among ``choices``, with the nearest valid one."""
    names = sorted(choices)
    near = get_close_matches(given, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return TMCIRError(f"unknown {what} {given!r}: {hint}valid: {', '.join(names)}")
