"""Misspelling, as people do when they type in a hurry."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

_WORD = re.compile(r"[A-Za-z]{4,}")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def misspell(text: str, generator: random.Random, rate: float) -> str:
    """Return a text with some words misspelt.

    Args:
        text: Any text.
        generator: Random generator.
        rate: Probability, for every word of four letters or more; 0 leaves the text alone and
            draws nothing from ``generator``.
    """
    if rate <= 0:
        return text

    def perhaps(match: re.Match[str]) -> str:
        word = match.group()
        return _misspelt(word, generator) if generator.random() < rate else word

    return _WORD.sub(perhaps, text)


def _misspelt(word: str, generator: random.Random) -> str:
    """Return another spelling; the first letter is right, as it mostly is."""
    place = generator.randrange(1, len(word) - 1)
    wrong = generator.choice(_MISTAKES)(word, place)
    return wrong if wrong != word else word[:place] + word[place + 1 :]


def _swapped(word: str, place: int) -> str:
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _dropped(word: str, place: int) -> str:
    return word[:place] + word[place + 1 :]


def _doubled(word: str, place: int) -> str:
    return word[:place] + word[place] + word[place:]


def _beside(word: str, place: int) -> str:
    """Put the key beside the right one."""
    letter = word[place].lower()
    row = next(row for row in _ROWS if letter in row)
    column = row.index(letter)
    other = row[column + 1] if column + 1 < len(row) else row[column - 1]
    return word[:place] + other + word[place + 1 :]


_MISTAKES: tuple[Callable[[str, int], str], ...] = (_swapped, _dropped, _doubled, _beside)
