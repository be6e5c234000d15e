"""Joining rows of a table to photos, in whatever spelling the table names them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.names import SPELLINGS, Spelling, by_form
from tmcir.core.tables import Row, Table, note

#: Names of the column that says which photo a row describes, the likeliest first.
KEY_COLUMNS = ("id", "filename", "file", "image", "path")

_Candidate = Callable[[str], str]  # from a photo's path to what a key may be
_CANDIDATES: tuple[_Candidate, ...] = (
    lambda photo: photo,
    lambda photo: str(PurePosixPath(photo).with_suffix("")),
    lambda photo: PurePosixPath(photo).name,
    lambda photo: PurePosixPath(photo).stem,
)
_NAME_ALONE = _CANDIDATES[2:3]  # for spellings that ignore folder and ending


@dataclass(frozen=True, slots=True)
class Joined:
    """Rows joined to photos.

    Attributes:
        column: Place of the key column.
        rows: The row of each described photo, by id.
        notes: One line each for what was joined, and for rows that describe nothing.
    """

    column: int
    rows: dict[str, Row]
    notes: list[str]


def join(path: Path, table: Table, ids: Sequence[str], key: str | None = None) -> Joined:
    """Join the rows of a table to photos.

    A row describes every photo whose relative path, file name, or name without ending equals the
    row's key; where several rows fit one photo, the closest of the three counts. A row that fits no
    photo so is tried in the other spellings of `tmcir.core.names.SPELLINGS`, where a single row and
    a single photo fit each other.

    Args:
        path: The table's file, for errors.
        table: The table.
        ids: Relative paths of the photos, with ``/``.
        key: The column that names photos. None takes the one of ``KEY_COLUMNS`` that fits most.

    Raises:
        TMCIRError: There is no such key column, or no row belongs to any photo.
    """
    joins = [_Join(table.rows, column, ids) for column in _key_columns(path, table.header, key)]
    best = max(joins, key=lambda one: len(one.matches))
    column = table.header[best.column]
    if ids and not best.matches:
        example = next(iter(best.by_key), "")
        value = f", such as {example!r}," if example else ""
        advice = "; name the right column with --metadata-key" if key is None else ""
        raise TMCIRError(
            f"{path}: no value of column {column!r}{value} is the name of a photo, such as"
            f" {ids[0]!r}{advice}"
        )
    return Joined(best.column, best.matches, best.notes(column))


def _key_columns(path: Path, header: list[str], key: str | None) -> list[int]:
    lower = [name.lower() for name in header]
    if key is not None:
        if key in header:
            return [header.index(key)]
        if key.lower() in lower:
            return [lower.index(key.lower())]
        raise unknown_choice(f"metadata key column of {path}", key, header)
    found = [lower.index(name) for name in KEY_COLUMNS if name in lower]
    if not found:
        raise TMCIRError(
            f"{path}: none of its columns is called {', '.join(KEY_COLUMNS)}; say with"
            f" --metadata-key which one names the photos: {', '.join(header)}"
        )
    return found


class _Join:
    """The rows of one key column joined to photos."""

    def __init__(self, rows: Sequence[Row], column: int, ids: Sequence[str]) -> None:
        self.column = column
        self.by_key: dict[str, Row] = {}
        self._ids = ids
        self._rows = len(rows)
        self._repeated: list[str] = []
        self._respelt: list[str] = []
        for row in rows:
            name = row.cells[column].strip().replace("\\", "/").removeprefix("./")
            if name in self.by_key:
                self._repeated.append(f"line {row.line} ({name!r})")
            elif name:
                self.by_key[name] = row
        found = {photo: self._find(photo) for photo in ids}
        self.matches = {photo: row for photo, row in found.items() if row is not None}
        self._used = {row.line for row in self.matches.values()}
        for spelling in SPELLINGS:
            loose = SPELLINGS.index(spelling) > 1
            self._match(spelling, _NAME_ALONE if loose else _CANDIDATES)
        self.matches = {photo: self.matches[photo] for photo in ids if photo in self.matches}

    def notes(self, column: str) -> list[str]:
        rule = "a key, and the first row counts"
        strangers = [repr(key) for key, row in self.by_key.items() if row.line not in self._used]
        return [
            f"{len(self.matches):,} of {len(self._ids):,} photos described"
            f" by {len(self._used):,} of {self._rows:,} rows, joined on column {column!r}",
            *self._respelt,
            *note(self._repeated, f"row repeats {rule}", f"rows repeat {rule}"),
            *note(strangers, "row names no photo here", "rows name no photo here"),
        ]

    def _find(self, photo: str) -> Row | None:
        names = (candidate(photo) for candidate in _CANDIDATES)
        return next((self.by_key[name] for name in names if name in self.by_key), None)

    def _match(self, spelling: Spelling, candidates: Iterable[_Candidate]) -> None:
        """Match the remaining rows and photos in other spellings, one key with one photo."""
        if len(self.matches) == len(self._ids):
            return
        keys = by_form(self.by_key, spelling.fold)
        left = {
            form: same[0]
            for form, same in keys.items()
            if len(same) == 1 and self.by_key[same[0]].line not in self._used
        }
        found: list[str] = []
        for candidate in candidates if left else ():
            for photo, key in self._same(spelling, candidate, left).items():
                row = self.by_key[key]
                if photo not in self.matches and row.line not in self._used:
                    self.matches[photo] = row
                    self._used.add(row.line)
                    found.append(f"{key!r} for {photo!r}")
        one, many = "row names its photo", "rows name their photos"
        self._respelt += note(found, f"{one} {spelling.words}", f"{many} {spelling.words}")

    def _same(
        self, spelling: Spelling, candidate: _Candidate, left: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the key of each photo that alone has its form."""
        photos: dict[str, list[str]] = {}
        for photo in self._ids:
            photos.setdefault(spelling.fold(candidate(photo)), []).append(photo)
        return {
            same[0]: left[form] for form, same in photos.items() if form in left and len(same) == 1
        }
