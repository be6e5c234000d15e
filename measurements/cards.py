"""Replacing the measured figures of a card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tmcir.core.files import write_text

MEASURED = "## Measured"


def write_measured(path: Path, lines: Sequence[str]) -> None:
    """Replace the section of figures of a README, or add one at its end."""
    before, _, rest = path.read_text(encoding="utf-8").partition(MEASURED)
    after = rest.partition("\n## ")[2]
    tail = f"\n\n## {after}" if after else "\n"
    write_text(path, before.rstrip() + "\n\n" + "\n".join([MEASURED, "", *lines]) + tail)
