"""The pages as tests see them: fenced blocks, and the commands of a block of bash."""

from __future__ import annotations

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: Its language; empty where none is given.
        text: Its lines, without the indentation of a list.
        title: The file that a reader saves it as; None where it is no file.
        reason: Why it is not run, as the comment above it says; None where it is run.
        line: Its first line in the page, from 1.
    """

    language: str
    text: str
    title: str | None
    reason: str | None
    line: int


def pages() -> list[Path]:
    """Return README and every page of the site that is written by hand."""
    return [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    return [
        Block(
            language=match["language"],
            text=textwrap.dedent(match["text"]),
            title=match["title"],
            reason=match["reason"],
            line=page.count("\n", 0, match.start("language")) + 1,
        )
        for match in _FENCE.finditer(page)
    ]


def commands(text: str) -> list[str]:
    """Return the commands of a block of bash: continued lines and open quotes are joined."""
    found: list[str] = []
    lines: list[str] = []
    for line in text.splitlines():
        lines.append(line)
        if line.endswith("\\") or not _complete("\n".join(lines)):
            continue
        command = "\n".join(lines).strip()
        lines = []
        if command and not command.startswith("#"):
            found.append(command)
    if lines:
        raise ValueError(f"a command is not complete: {lines[0]}")
    return found


def _complete(text: str) -> bool:
    """Return whether all quotes of a command are closed; those of a comment do not count."""
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return True
