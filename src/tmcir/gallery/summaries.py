"""Summaries of metadata columns: frequent values, ranges, numbers of values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tmcir.gallery.conditions import MAXIMUM_LENGTH
from tmcir.gallery.stores.base import ColumnKind, Value

# Entries after which counts are merged: exact, and bounded by the number of distinct values.
_MERGE_AFTER = 200_000
_DATE = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])([T ].*)?$"


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """Summary of one metadata column. Empty cells do not count.

    Attributes:
        name: The column.
        kind: What its values are.
        values: The most frequent values and the photos that have each; of equal counts the smaller
            value first. Texts too long to filter by are not among them.
        distinct: Number of different values.
        filled: Photos that have a value.
        minimum: Smallest value; text compares by code points. None where no photo has a value.
        maximum: Largest value.
        is_date: Whether all values are dates, YYYY-MM-DD, with or without a time.
    """

    name: str
    kind: ColumnKind
    values: tuple[tuple[Value, int], ...] = ()
    distinct: int = 0
    filled: int = 0
    minimum: Value = None
    maximum: Value = None
    is_date: bool = False


def summarise(
    batches: Iterable[pa.RecordBatch], kinds: Mapping[str, ColumnKind], limit: int
) -> list[ColumnSummary]:
    """Summarise columns in one pass.

    Args:
        batches: Rows with these columns.
        kinds: The columns.
        limit: Number of frequent values a column.
    """
    counters = {name: _Counter() for name in kinds}
    for batch in batches:
        for name, counter in counters.items():
            counter.add(batch.column(name))
    return [_summary(name, kind, counters[name].counts(), limit) for name, kind in kinds.items()]


class _Counter:
    """Counts of values, collected batch by batch."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._entries = 0

    def add(self, column: pa.Array) -> None:
        counted = column.drop_null().value_counts()
        self._parts.append(pa.table({"value": counted.field(0), "count": counted.field(1)}))
        self._entries += len(counted)
        if self._entries > _MERGE_AFTER:
            merged = self.counts()
            self._parts, self._entries = [merged], 0

    def counts(self) -> pa.Table:
        """Return a table of ``value`` and ``count``, each value once."""
        if not self._parts:
            return pa.table({"value": pa.array([], pa.string()), "count": pa.array([], pa.int64())})
        grouped = pa.concat_tables(self._parts).group_by("value").aggregate([("count", "sum")])
        return grouped.rename_columns(["value", "count"])


def _summary(name: str, kind: ColumnKind, counts: pa.Table, limit: int) -> ColumnSummary:
    if not counts.num_rows:
        return ColumnSummary(name, kind)
    order = [("count", "descending"), ("value", "ascending")]
    usable, is_date = counts, False
    if kind == "text":
        usable = counts.filter(pc.less_equal(pc.utf8_length(counts["value"]), MAXIMUM_LENGTH))
        is_date = pc.all(pc.match_substring_regex(counts["value"], _DATE)).as_py()
    chosen = usable.take(pc.select_k_unstable(usable, min(limit, usable.num_rows), order))
    extremes = pc.min_max(counts["value"])
    return ColumnSummary(
        name=name,
        kind=kind,
        values=tuple(zip(chosen["value"].to_pylist(), chosen["count"].to_pylist(), strict=True)),
        distinct=counts.num_rows,
        filled=pc.sum(counts["count"]).as_py(),
        minimum=extremes["min"].as_py(),
        maximum=extremes["max"].as_py(),
        is_date=is_date,
    )
