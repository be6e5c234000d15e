"""Running the command line inside the test's own process."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tmcir.cli import main

#: Takes a command's arguments, returns the line of its error.
Mistake = Callable[..., str]


def run(*arguments: str) -> int:
    """Run ``tmcir`` with these arguments and return its exit code."""
    before, sys.argv = sys.argv, ["tmcir", *arguments]
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        sys.argv = before
    return 0
