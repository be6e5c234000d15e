from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmcir.gallery import summaries
from tmcir.gallery.stores.base import ColumnKind
from tmcir.gallery.summaries import summarise

cells: dict[ColumnKind, st.SearchStrategy[Any]] = {
    "integer": st.none() | st.integers(-3, 3) | st.sampled_from([2**63 - 1, -(2**63)]),
    "number": st.none() | st.sampled_from([-0.5, 0.25, 1e300]),
    "text": st.none() | st.sampled_from(["", "a", "B", "\u00e4", "x" * 200, "x" * 201]),
}
ARROW = {"integer": pa.int64(), "number": pa.float64(), "text": pa.string()}


@pytest.mark.parametrize("merge_after", [0, 3, 1_000])
@given(data=st.data())
def test_a_summary_is_what_a_count_by_hand_says(data: st.DataObject, merge_after: int) -> None:
    kind = data.draw(st.sampled_from(list(cells)))
    batches = data.draw(st.lists(st.lists(cells[kind], max_size=6), max_size=5))
    limit = data.draw(st.integers(1, 4))
    arrays = [pa.record_batch({"c": pa.array(batch, ARROW[kind])}) for batch in batches]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summaries, "_MERGE_AFTER", merge_after)
        (summary,) = summarise(arrays, {"c": kind}, limit)
    counts = Counter(cell for batch in batches for cell in batch if cell is not None)
    usable = [(value, count) for value, count in counts.items() if len(str(value)) <= 200]
    assert list(summary.values) == sorted(usable, key=lambda pair: (-pair[1], pair[0]))[:limit]
    assert summary.distinct == len(counts) and summary.filled == sum(counts.values())
    assert summary.minimum == min(counts, default=None)
    assert summary.maximum == max(counts, default=None)
    assert not summary.is_date
