"""Reading CSV tables of any country; a damaged row costs no other row."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePath

from tmcir.core.errors import TMCIRError

DELIMITERS = ",;\t|"
_SEPARATOR = re.compile(
    r'"?sep=([^"\w])"?\s*', re.IGNORECASE
)  # what spreadsheets write above a table
_SAMPLE = 20  # rows that the delimiter is chosen by
_EXAMPLES = 3
_EXAMPLE_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table, with as many cells as the header, or more if ``spills``."""

    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        header: Names of the columns, as the file has them, without blanks around them.
        rows: The rows that can be read.
        delimiter: What stands between cells.
        notes: One line for each kind of damage.
    """

    header: list[str]
    rows: list[Row]
    delimiter: str = ","
    notes: list[str] = field(default_factory=list)


def read_table(path: Path, spills: bool = False) -> Table:
    """Read a CSV in UTF-8; delimiter, ``sep=`` line and blank first lines are recognised.

    A quote that is never closed costs at most its own row: the rows after it are read as they are,
    and a note names the line. Empty cells at the end that the header does not have are dropped, and
    missing ones are empty. Rows with more cells than the header are skipped and noted.

    Args:
        path: The file.
        spills: Whether rows may have more cells than the header, for files without quotes.

    Raises:
        TMCIRError: The file cannot be read as such a table, or all of its rows are malformed.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = file.readlines()
    except FileNotFoundError:
        raise TMCIRError(f"{path}: no such file") from None
    except OSError as error:
        raise TMCIRError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise TMCIRError(f"{path}: is not UTF-8 text; save the table as 'CSV UTF-8'") from None
    return _Reader(path, lines, spills).read()


def note(faults: Sequence[str], one: str, many: str) -> list[str]:
    """Return one line about rows or values with a fault: their number and the first few of them."""
    if not faults:
        return []
    shown = [fault[:_EXAMPLE_LENGTH] for fault in faults[:_EXAMPLES]]
    examples = ", ".join(shown) + (", ..." if len(faults) > _EXAMPLES else "")
    return [f"{len(faults):,} {one if len(faults) == 1 else many}: {examples}"]


class _Lines:
    """Lines of a file, read one by one from any place."""

    def __init__(self, lines: list[str], place: int) -> None:
        self.lines = lines
        self.place = place

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.place >= len(self.lines):
            raise StopIteration
        self.place += 1
        return self.lines[self.place - 1]


class _Reader:
    """Reads one table."""

    def __init__(self, path: Path, lines: list[str], spills: bool) -> None:
        self._path = path
        self._lines = lines
        self._spills = spills
        self._delimiter = ","
        self._width = 0
        self._malformed: list[str] = []
        self._unclosed: list[str] = []
        self._short: list[str] = []

    def read(self) -> Table:
        notes, place = self._find_header()
        source = _Lines(self._lines, place)
        header = self._read_header(source)
        self._width = len(header)
        rows = [row for row in self._rows(source) if row is not None]
        if not rows and self._malformed:
            number = f"{len(self._malformed):,} " if len(self._malformed) > 1 else ""
            raise TMCIRError(f"{self._path}: all {number}rows are malformed: {self._malformed[0]}")
        notes += note(
            self._unclosed,
            "row has a quote that is not closed",
            "rows have a quote that is not closed",
        )
        notes += note(self._malformed, "malformed row skipped", "malformed rows skipped")
        notes += note(
            self._short,
            "row has fewer cells than the header, and is empty there",
            "rows have fewer cells than the header, and are empty there",
        )
        return Table(header, rows, self._delimiter, notes)

    def _find_header(self) -> tuple[list[str], int]:
        """Find the delimiter and the line of the header."""
        stated: str | None = None
        notes: list[str] = []
        for place, line in enumerate(self._lines):
            separator = _SEPARATOR.fullmatch(line)
            if separator is not None and stated is None:
                stated = separator[1]
            elif line.strip(DELIMITERS + " \r\n"):
                rest = islice(self._lines, place + 1, None)
                below = list(islice((other for other in rest if other.strip()), _SAMPLE))
                self._delimiter = stated or _choose_delimiter(line, below)
                if not _is_title(line, below, stated):
                    return notes, place
                title = line.strip(DELIMITERS + " \r\n")[:40]
                notes.append(f"line {place + 1} ({title!r}) is no header: skipped")
        raise TMCIRError(f"{self._path}: empty; the first line must name the columns")

    def _read_header(self, source: _Lines) -> list[str]:
        first = source.place
        try:
            cells = next(csv.reader(source, delimiter=self._delimiter, strict=True))
        except csv.Error:
            source.place = first + 1
            cells = [_without_quote(cell) for cell in self._split(self._lines[first])]
            self._unclosed.append(f"line {first + 1}")
        return [name.strip() for name in cells]

    def _rows(self, source: _Lines) -> Iterator[Row | None]:
        reader = csv.reader(source, delimiter=self._delimiter, strict=True)
        while True:
            first = source.place
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield self._damaged(source, first)
                continue
            if source.place > first + 1 and not self._is_one_row(cells, first, source.place):
                yield self._damaged(source, first)
            elif cells:
                yield self._row(first + 1, cells)

    def _damaged(self, source: _Lines, first: int) -> Row | None:
        """Read one line whose quotes do not fit, and continue after it."""
        source.place = first + 1
        line = self._lines[first]
        try:
            (cells,) = csv.reader([line], delimiter=self._delimiter)
            if len(cells) == self._width and line.count('"') % 2 == 0:
                return self._row(first + 1, cells)  # such as `"Vintage" tee`
            self._unclosed.append(f"line {first + 1}")
            return self._row(first + 1, [_without_quote(cell) for cell in self._split(line)])
        except csv.Error as error:
            self._malformed.append(f"line {first + 1}: {error}")
            return None

    def _is_one_row(self, cells: list[str], first: int, end: int) -> bool:
        """Return whether lines that a quoted cell joins to one row are not rows of their own."""
        if len(self._trimmed(cells)) != self._width:
            return False
        split = [self._split(line) for line in self._lines[first:end]]
        return not all(len(own) == self._width and _alike(own[0], split[0][0]) for own in split)

    def _split(self, line: str) -> list[str]:
        """Return the cells of a single line, whose quotes have no meaning."""
        return line.rstrip("\r\n").split(self._delimiter)

    def _row(self, line: int, cells: list[str]) -> Row | None:
        cells = self._trimmed(cells)
        if len(cells) > self._width and not self._spills:
            self._malformed.append(f"line {line} has {len(cells)} cells instead of {self._width}")
            return None
        if len(cells) < self._width:
            if not any(cell.strip() for cell in cells):
                return None  # a blank row
            self._short.append(f"line {line}")
            cells = cells + [""] * (self._width - len(cells))
        return Row(line, cells)

    def _trimmed(self, cells: list[str]) -> list[str]:
        """Return cells without empty ones that the header does not have."""
        while len(cells) > self._width and not cells[-1].strip():
            cells = cells[:-1]
        return cells


def _choose_delimiter(header: str, below: Sequence[str]) -> str:
    """Return the delimiter that fits most rows; ties go to the usual one."""

    def score(delimiter: str) -> tuple[bool, int, int]:
        width = _width(header, delimiter)
        fitting = sum(_width(line, delimiter) == width for line in below)
        return width > 1, fitting, width

    if max(_width(header, delimiter) for delimiter in DELIMITERS) > 1:
        return max(DELIMITERS, key=score)
    ends = [line.rstrip(" \r\n")[-1:] for line in below]  # one column, whose rows may end in commas
    return max(DELIMITERS, key=ends.count)


def _is_title(line: str, below: Sequence[str], stated: str | None) -> bool:
    """Return whether a line stands above the header: it has one cell, and what follows has more."""
    delimiters = DELIMITERS if stated is None else stated
    if max(len(line.strip(one + " \r\n").split(one)) for one in delimiters) > 1 or not below:
        return False
    delimiter = stated or _choose_delimiter(below[0], below[1:])
    blank = DELIMITERS + " \r\n"  # a column of names whose rows end in commas is no table of two
    widths = [_width(other.rstrip(blank), delimiter) for other in below]
    return widths[0] > 1 and sum(width > 1 for width in widths) > len(widths) / 2


def _width(line: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), []))
    except csv.Error:
        return 0


def _alike(cell: str, other: str) -> bool:
    """Return whether two cells look like keys of one table: both numbers, or one file ending."""
    if cell.strip().isdecimal() or other.strip().isdecimal():
        return cell.strip().isdecimal() and other.strip().isdecimal()
    return PurePath(cell).suffix.lower() == PurePath(other).suffix.lower() and " " not in cell


def _without_quote(cell: str) -> str:
    """Return a cell without the one quote that was opened in it and not closed."""
    quoted = cell.strip()
    if quoted.startswith('"') and quoted.endswith('"') and len(quoted) > 1:
        return quoted[1:-1].replace('""', '"')
    return quoted[1:] if quoted.startswith('"') and quoted.count('"') == 1 else cell
