"""Reading a metadata CSV as people have them: joined to photos, typed, its faults reported."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.gallery.stores.base import OWN_COLUMNS, ColumnKind, Value

#: Names of the column that says which photo a row describes, the likeliest first.
KEY_COLUMNS = ("id", "filename", "file", "image", "path")

_DELIMITERS = ",;\t"
_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")  # "007" is a code, not a number
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_CODE = re.compile(r"[+-]?(0[0-9].*|[0-9]{19,})")  # too many digits for int64: an article code
_EXAMPLES = 3
_EXAMPLE_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a CSV says about photos.

    Attributes:
        columns: Columns as the gallery names them, with their kinds.
        values: For each described photo (by id) its values by column.
        notes: One line each for what was matched and what is wrong with the file.
    """

    columns: dict[str, ColumnKind] = field(default_factory=dict)
    values: dict[str, dict[str, Value]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: list[str]


def read_metadata(
    path: str | Path,
    ids: Sequence[str],
    key: str | None = None,
    known: Mapping[str, ColumnKind] | None = None,
) -> Metadata:
    """Read a CSV (comma, semicolon or tab; UTF-8) and join its rows to photos.

    A row describes every photo whose relative path, file name, or name without ending equals the
    row's key; where several rows fit one photo, the closest of the three counts. Rows with too many
    or too few cells, keys given twice and keys without a photo are told in the notes.

    Args:
        path: The CSV. Its first line names the columns.
        ids: Relative paths of the photos, with ``/``.
        key: The column that names photos. None takes the one of ``KEY_COLUMNS`` that fits most.
        known: Columns that the gallery has, with their kinds. They keep their kinds; a value
            that does not fit is left empty and told.

    Returns:
        Metadata of the photos that a row describes. The key column itself is not repeated.

    Raises:
        TMCIRError: The file cannot be read as such a CSV, there is no such key column, or no row
            belongs to any photo.
    """
    path = Path(path)
    header, rows, notes = _read_rows(path)
    key_index, matches = _join(path, header, rows, ids, key, notes)
    metadata = Metadata(notes=notes)
    names = _column_names(header, key_index, known or {}, notes)
    described: dict[str, dict[str, Value]] = {name: {} for name in matches}
    for index, name in names.items():
        used = {row.line: row.cells[index].strip() for row in matches.values()}
        kind = (known or {}).get(name) or _infer_kind(used.values())
        metadata.columns[name] = kind
        values = _convert(used, kind, name, notes)
        for photo, row in matches.items():
            described[photo][name] = values[row.line]
    metadata.values.update(described)
    return metadata


def _read_rows(path: Path) -> tuple[list[str], list[_Row], list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=_delimiter(first))
            header = [name.strip() for name in next(reader, [])]
            if not any(header):
                raise TMCIRError(f"{path}: empty; the first line must name the columns")
            return header, *_regular_rows(reader, len(header))
    except OSError as error:
        raise TMCIRError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise TMCIRError(f"{path}: is not UTF-8 text; save the table as 'CSV UTF-8'") from None
    except csv.Error as error:
        raise TMCIRError(f"{path}: is not a CSV: {error}") from None


def _delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _regular_rows(reader: Iterator[list[str]], width: int) -> tuple[list[_Row], list[str]]:
    rows: list[_Row] = []
    malformed: list[str] = []
    for line, cells in _numbered(reader, malformed):
        if len(cells) == width:
            rows.append(_Row(line, cells))
        elif cells:
            malformed.append(f"line {line} has {len(cells)} cells instead of {width}")
    return rows, _note(malformed, "malformed row left out", "malformed rows left out")


def _numbered(reader: Iterator[list[str]], faults: list[str]) -> Iterator[tuple[int, list[str]]]:
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            faults.append(f"line {_line(reader)}: {error}")
        else:
            yield _line(reader), cells


def _line(reader: object) -> int:
    return int(getattr(reader, "line_num", 0))


def _join(
    path: Path,
    header: list[str],
    rows: list[_Row],
    ids: Sequence[str],
    key: str | None,
    notes: list[str],
) -> tuple[int, dict[str, _Row]]:
    """Return the key column's index and the row of each described photo."""
    best, best_index = -1, _RowIndex.empty()
    best_matches: dict[str, _Row] = {}
    for candidate in _key_candidates(path, header, key):
        index = _RowIndex.build(rows, candidate)
        matches = {photo: row for photo in ids if (row := index.find(photo)) is not None}
        if best < 0 or len(matches) > len(best_matches):
            best, best_matches, best_index = candidate, matches, index
    column = header[best]
    if ids and not best_matches:
        raise TMCIRError(
            f"{path}: no value of column {column!r} is the name of a photo such as {ids[0]!r};"
            " name the right column with --metadata-key"
        )
    used = {row.line for row in best_matches.values()}
    notes.insert(
        0,
        f"{len(best_matches):,} of {len(ids):,} photos described"
        f" by {len(used):,} of {len(rows):,} rows, joined on column {column!r}",
    )
    rule = "a key, and the first row counts"
    notes += _note(best_index.repeated, f"row repeats {rule}", f"rows repeat {rule}")
    strangers = [repr(name) for name, row in best_index.rows.items() if row.line not in used]
    notes += _note(strangers, "row names no photo here", "rows name no photo here")
    return best, best_matches


def _key_candidates(path: Path, header: list[str], key: str | None) -> list[int]:
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


@dataclass(frozen=True, slots=True)
class _RowIndex:
    rows: dict[str, _Row]
    repeated: list[str]

    @classmethod
    def empty(cls) -> _RowIndex:
        return cls({}, [])

    @classmethod
    def build(cls, rows: list[_Row], column: int) -> _RowIndex:
        index = cls.empty()
        for row in rows:
            name = row.cells[column].strip().replace("\\", "/").removeprefix("./")
            if name in index.rows:
                index.repeated.append(f"line {row.line} ({name!r})")
            elif name:
                index.rows[name] = row
        return index

    def find(self, photo: str) -> _Row | None:
        path = PurePosixPath(photo)
        names = (photo, str(path.with_suffix("")), path.name, path.stem)
        return next((self.rows[name] for name in names if name in self.rows), None)


def _column_names(
    header: list[str], key_index: int, known: Mapping[str, ColumnKind], notes: list[str]
) -> dict[int, str]:
    """Return names that SQL takes without quotes, by position, each once in any case."""
    stored = {name.lower(): name for name in known}
    taken = {name.lower() for name in OWN_COLUMNS}
    names: dict[int, str] = {}
    for index, given in enumerate(header):
        if index == key_index:
            continue
        name = _free_name(_plain_name(given, index), taken)
        taken.add(name.lower())
        names[index] = stored.get(name.lower(), name)
        if name != given:
            notes.append(f"column {given!r} is called {names[index]!r} in the gallery")
    return names


def _plain_name(given: str, index: int) -> str:
    name = re.sub(r"\W+", "_", given).strip("_")
    if not name:
        return f"column_{index + 1}"
    return f"_{name}" if name[0].isdigit() else name


def _free_name(name: str, taken: Collection[str]) -> str:
    number, free = 2, name
    while free.lower() in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def _infer_kind(values: Collection[str]) -> ColumnKind:
    filled = [value for value in values if value]
    if not filled:
        return "text"
    if all(_INTEGER.fullmatch(value) for value in filled):
        return "integer"
    if all(_is_number(value) for value in filled):
        return "number"
    return "text"


def _is_number(value: str) -> bool:
    if not _NUMBER.fullmatch(value) or _CODE.fullmatch(value):
        return False
    return math.isfinite(float(value))


def _convert(
    cells: Mapping[int, str], kind: ColumnKind, name: str, notes: list[str]
) -> dict[int, Value]:
    converters: dict[ColumnKind, tuple[Callable[[str], bool], Callable[[str], Value]]] = {
        "integer": (lambda cell: _INTEGER.fullmatch(cell) is not None, int),
        "number": (_is_number, float),
        "text": (lambda cell: True, str),
    }
    fits, convert = converters[kind]
    values = {line: convert(cell) if cell and fits(cell) else None for line, cell in cells.items()}
    faults = [f"line {line} ({cell!r})" for line, cell in cells.items() if cell and not fits(cell)]
    what = f"is no {kind}, as column {name!r} is stored: left empty"
    notes += _note(faults, f"value {what}", f"values {what}")
    return values


def _note(faults: list[str], one: str, many: str) -> list[str]:
    if not faults:
        return []
    shown = [fault[:_EXAMPLE_LENGTH] for fault in faults[:_EXAMPLES]]
    examples = ", ".join(shown) + (", ..." if len(faults) > _EXAMPLES else "")
    return [f"{len(faults):,} {one if len(faults) == 1 else many}: {examples}"]
