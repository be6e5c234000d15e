"""Product words: titles, descriptions and article numbers in the ranking of a search.

The photos whose text columns hold words of the query are one ranking, those near to the query's
vector another. Both become one by reciprocal rank fusion: a photo's score is the sum, over the
rankings that have it, of 1 / (`CONSTANT` + rank).
Source: Cormack, Clarke and Buettcher 2009, Reciprocal Rank Fusion outperforms Condorcet and
individual Rank Learning Methods.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.gallery.conditions import Condition, to_where
from tmcir.gallery.ranking import Ranking
from tmcir.gallery.roles import Roles
from tmcir.gallery.stores.base import ColumnKind, Neighbours, Store
from tmcir.gallery.summaries import ColumnSummary

#: The constant of reciprocal rank fusion, as in the paper.
CONSTANT = 60
#: Photos of either ranking that are fused; further ones follow by their vectors.
DEPTH = 1_000
#: Most photos that an article number names.
MAXIMUM_EXACT = 24
#: Most columns whose words are searched.
MAXIMUM_WORD_COLUMNS = 16
_ID = "id"
# Words with a digit and three characters or more, such as AB-1234 and shoes/10015.jpg.
_CODE = re.compile(r"(?=\S*\d)[\w./-]{3,100}")
_INTEGER = re.compile(r"\d{1,18}")


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a query, and where to look for them.

    Attributes:
        text: The query's text.
        columns: Columns of text, of whole numbers (which match exactly), or ``id``.
    """

    text: str
    columns: Sequence[str]

    @property
    def codes(self) -> list[str]:
        """The words of the text that may be article numbers, at most 8."""
        found = (code.strip("./-") for code in _CODE.findall(self.text))
        return [code for code in dict.fromkeys(found) if len(code) > 2][:8]

    def check(self, kinds: dict[str, ColumnKind]) -> None:
        """Check the columns.

        Raises:
            TMCIRError: A column is unknown, holds no words, or there are too many.
        """
        if len(self.columns) > MAXIMUM_WORD_COLUMNS:
            raise TMCIRError(f"words of at most {MAXIMUM_WORD_COLUMNS} columns can be searched")
        for name in self.columns:
            if name != _ID and name not in kinds:
                raise unknown_choice("column", name, [_ID, *kinds])
            if kinds.get(name) == "number":
                raise TMCIRError(f"column {name!r} holds numbers with fractions, and no words")


@dataclass(frozen=True, slots=True)
class Matched:
    """Photos that words of a query name.

    Attributes:
        exact: Ids of the photos whose article number, or the like, is in the text.
        others: Ids of photos that have other words of the text, the best first.
    """

    exact: Sequence[str]
    others: Sequence[str]


def word_columns(summaries: Sequence[ColumnSummary], roles: Roles) -> list[str]:
    """Return the columns that a person's words may mean: ids, titles, descriptions, numbers.

    Columns of text count where most values differ or the column is the title, columns of whole
    numbers where all values differ.
    """
    found = [_ID]
    for column in summaries:
        if column.name == roles.link or column.is_date:
            continue
        differs = column.distinct > column.filled / (2 if column.kind == "text" else 1.001)
        if column.name == roles.title or (column.kind != "number" and column.filled and differs):
            found.append(column.name)
    return found[:MAXIMUM_WORD_COLUMNS]


def find_words(
    store: Store, vector: NDArray[np.float32], words: Words, where: str | None
) -> Matched:
    """Return the photos that have words of the query, at most `DEPTH` of each kind.

    A word with a digit, such as an article number, that is the whole value of a column, or an id
    without folder and ending, names its photos exactly, unless it names more than `MAXIMUM_EXACT`.

    Raises:
        TMCIRError: A column is unknown or holds no words, or the store cannot search words.
    """
    kinds = store.columns()
    words.check(kinds)
    texts = [name for name in words.columns if name == _ID or kinds[name] == "text"]
    others = store.match(words.text, texts, DEPTH, where) if texts else []
    exact: list[str] = []
    for name in words.columns:
        named = _named(store, vector, name, words.codes, where)
        if len(named) <= MAXIMUM_EXACT:
            exact += named
        else:
            others += named
    return Matched(_once(exact), _once(others)[:DEPTH])


def _named(
    store: Store, vector: NDArray[np.float32], column: str, codes: Sequence[str], where: str | None
) -> Sequence[str]:
    """Return the ids of the photos whose value of a column is one of the codes."""
    kinds = store.columns()
    if kinds.get(column) == "integer":
        codes = [code for code in codes if _INTEGER.fullmatch(code)]
    found: list[str] = []
    for code in codes:
        operator = "contains" if column == _ID else "="
        equal = to_where([Condition(column, operator, code)], kinds)
        both = equal if where is None else f"({where}\n) AND ({equal})"
        ids = store.nearest(vector, DEPTH, both).ids
        if column == _ID:
            ids = [name for name in ids if code.lower() in _names_of(name.lower())]
        found += ids
    return found


def _names_of(name: str) -> tuple[str, str, str]:
    """Return an id, its file's name, and that without its ending."""
    file = PurePosixPath(name)
    return name, file.name, file.stem


def _once(ids: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(ids))


def fused(store: Store, ranking: Ranking, vector: NDArray[np.float32], matched: Matched) -> Ranking:
    """Fuse a ranking by vectors with the photos that have words of the query.

    Photos that the query names exactly come first.
    """

    def ranked(count: int) -> Neighbours:
        near = ranking(max(count, DEPTH))
        scores: dict[str, float] = {}
        for ids in (near.ids[:DEPTH], matched.others):
            for rank, name in enumerate(ids, start=1):
                scores[name] = scores.get(name, 0.0) + 1 / (CONSTANT + rank)
        order = _once(
            [
                *matched.exact,
                *sorted(scores, key=lambda name: (-scores[name], name)),
                *near.ids[DEPTH:],
            ]
        )
        return _neighbours(store, near, vector, order[:count])

    return ranked


def _neighbours(
    store: Store, near: Neighbours, vector: NDArray[np.float32], ids: Sequence[str]
) -> Neighbours:
    """Return photos in this order with their vectors; those that were removed since are skipped."""
    rows = {name: row for row, name in enumerate(near.ids)}
    far = [name for name in ids if name not in rows]
    vectors = store.vectors(far) if far else {}
    kept = [name for name in ids if name in rows or name in vectors]
    own = [near.vectors[rows[name]] if name in rows else vectors[name] for name in kept]
    matrix = np.asarray(own, np.float32).reshape(-1, len(vector))  # [K, D]
    scores = (matrix.astype(np.float64) * vector.astype(np.float64)).sum(axis=1)  # [K]
    return Neighbours(kept, scores, matrix)
