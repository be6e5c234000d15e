"""Matching names in other spellings: accents, blanks, case, folders, endings, zeros."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from tmcir.core.folders import EXTENSIONS

_FORMULA = re.compile(r'="(.*)"')  # how spreadsheets keep a code from being read as a number
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
_NUMBER = re.compile(r"0*([0-9]+)(\.0+)?")


class Spelling(NamedTuple):
    """A way in which a name may be written differently.

    Attributes:
        words: How notes call it.
        fold: Maps all spellings of a name to one; each spelling includes those before it.
    """

    words: str
    fold: Callable[[str], str]


def fold_blanks(name: str) -> str:
    """Return a name in composed characters (NFC), with plain blanks, without ``="..."``."""
    formula = _FORMULA.fullmatch(name.strip())
    text = unicodedata.normalize("NFC", formula[1] if formula else name).translate(_INVISIBLE)
    return " ".join(text.split())  # splits at blanks of every kind


def fold_case(name: str) -> str:
    """Return a name without differences of case, too."""
    return unicodedata.normalize("NFC", fold_blanks(name).casefold())


def fold_folder(name: str) -> str:
    """Return the last part of a path or an address."""
    folded = fold_case(name)
    if "://" in folded or folded.startswith("//"):
        folded = unquote(urlsplit(folded).path) or folded
    return fold_case(PurePosixPath(folded).name)


def fold_ending(name: str) -> str:
    """Return the last part of a path without the ending of an image."""
    last = PurePosixPath(fold_folder(name))
    return last.stem if last.suffix in EXTENSIONS else str(last)


def fold_digits(name: str) -> str:
    """Return a number without leading zeros and without zeros after the point."""
    stem = fold_ending(name)
    number = _NUMBER.fullmatch(stem)
    return number[1] if number else stem


#: From the smallest difference to the largest.
SPELLINGS = (
    Spelling("with other blanks or accents", fold_blanks),
    Spelling("in another case", fold_case),
    Spelling("in another folder", fold_folder),
    Spelling("with another ending", fold_ending),
    Spelling("with other zeros", fold_digits),
)


class Files(dict[str, Path]):
    """Files by name, which ``find`` also finds by another spelling of blanks, accents and case."""

    def find(self, name: str) -> Path | None:
        """Return the file of a name; of another spelling only where a single file fits."""
        found = self.get(name)
        return self._find_spelt(name) if found is None else found

    def _find_spelt(self, name: str) -> Path | None:
        for spelling in SPELLINGS[:2]:
            same = self._forms(spelling).get(spelling.fold(name), [])
            if same:
                return self[same[0]] if len(same) == 1 else None
        return None

    def _forms(self, spelling: Spelling) -> Mapping[str, Sequence[str]]:
        if not hasattr(self, "_cached"):
            self._cached: dict[str, Mapping[str, Sequence[str]]] = {}
        if spelling.words not in self._cached:
            self._cached[spelling.words] = by_form(self, spelling.fold)
        return self._cached[spelling.words]


def by_form(names: Iterable[str], fold: Callable[[str], str]) -> dict[str, list[str]]:
    """Return names by their folded form."""
    forms: dict[str, list[str]] = {}
    for name in names:
        forms.setdefault(fold(name), []).append(name)
    return forms
