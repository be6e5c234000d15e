"""What a gallery points at."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tmcir.gallery.hints import tune_hint


@pytest.mark.parametrize(
    ("model", "columns", "hinted"),
    [("mini", {"colour": "text"}, True), ("mini", {}, False), ("own", {"colour": "text"}, False)],
)
def test_a_gallery_of_mini_with_a_table_points_at_tuning(
    model: str, columns: dict[str, str], hinted: bool
) -> None:
    gallery = SimpleNamespace(model_name=model, columns=lambda: columns)
    hint = tune_hint(gallery)
    assert hint.startswith("searches miss") == hinted
