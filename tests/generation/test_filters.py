"""Golden values worked out by hand, and every reason for which a pseudo-target falls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from tmcir.data.pseudo_targets import SCHEMA
from tmcir.generation.filters import Scorer, Scores, judge
from tmcir.generation.recipe import FilterSettings
from tmcir.models.tmcir import TMCIR

Colour = tuple[int, int, int]
RED, BLUE, GREY, WHITE, BLACK = (
    (255, 0, 0),
    (0, 0, 255),
    (128, 128, 128),
    (255, 255, 255),
    (0, 0, 0),
)


class Vectors:
    """A model that embeds images of one colour, and texts, as given."""

    def __init__(
        self,
        images: Mapping[Colour, Sequence[float]] | None = None,
        texts: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self.images = images or {}
        self.texts = texts or {}
        self.seen: list[Colour] = []

    def encode_images(self, images: Iterable[Image.Image]) -> Tensor:
        colours = [cast(Colour, image.getpixel((0, 0))) for image in images]
        self.seen += colours
        return torch.tensor([self.images[colour] for colour in colours]).reshape(-1, 2)

    def encode_texts(self, texts: Iterable[str]) -> Tensor:
        return torch.tensor([self.texts[text] for text in texts]).reshape(-1, 2)


def plain(colour: Colour) -> Image.Image:
    return Image.new("RGB", (4, 4), colour)


def score(model: Vectors | None, reference: Colour, text: str, edited: Colour) -> Scores:
    scorer = Scorer(cast(TMCIR | None, model))
    (scores,) = scorer.score(["a"], [plain(reference)], [text], [plain(edited)])
    return scores


# Measures


@pytest.mark.parametrize(
    ("colour", "brightness"),
    [
        (BLACK, 0.0),
        (WHITE, 1.0),
        (GREY, 128 / 255),
        # ITU-R 601: 0.299 R + 0.587 G + 0.114 B, in whole grey levels.
        (RED, 76 / 255),
        (BLUE, 29 / 255),
    ],
)
def test_brightness_is_the_mean_of_the_grey_levels(colour: Colour, brightness: float) -> None:
    assert score(None, RED, "", colour).brightness == pytest.approx(brightness)


def test_brightness_is_averaged_over_the_picture() -> None:
    image = plain(BLACK)
    image.paste(WHITE, (0, 0, 4, 1))  # a quarter
    (scores,) = Scorer(None).score(["a"], [plain(RED)], [""], [image])
    assert scores.brightness == 0.25


def test_saturated_is_the_share_of_pixels_of_full_chroma() -> None:
    image = plain(WHITE)
    image.putpixel((0, 0), (255, 0, 255))  # 255 levels between the channels
    image.putpixel((1, 0), (5, 255, 90))  # 250
    image.putpixel((2, 0), (6, 255, 90))  # 249
    image.putpixel((3, 0), (0, 0, 0))
    (scores,) = Scorer(None).score(["a"], [plain(RED)], [""], [image])
    assert scores.saturated == 2 / 16
    assert score(None, RED, "", RED).saturated == 1.0
    assert score(None, RED, "", WHITE).saturated == 0.0


def test_similarities_are_cosines_of_embeddings() -> None:
    # The image moves from (1, 0) to (0.6, 0.8), by (-0.4, 0.8) of length sqrt(0.8).
    model = Vectors({RED: (1.0, 0.0), BLUE: (0.6, 0.8)}, {"up": (0.0, 1.0), "left": (-1.0, 0.0)})
    up, left = (score(model, RED, text, BLUE) for text in ("up", "left"))
    assert up.directional == pytest.approx(0.8 / 0.8**0.5)
    assert left.directional == pytest.approx(0.4 / 0.8**0.5)
    assert up.to_reference == left.to_reference == pytest.approx(0.6)
    back = score(model, BLUE, "up", RED)
    assert back.directional == pytest.approx(-0.8 / 0.8**0.5)


def test_without_a_model_no_similarity_is_measured() -> None:
    scores = score(None, RED, "up", BLUE)
    assert scores.directional is scores.to_reference is None


@pytest.mark.parametrize("rounding", [0.0, 1e-7, 3e-6])
def test_an_image_that_did_not_change_has_no_direction(rounding: float) -> None:
    """Floats round by the size of a batch: that is no change, and has no direction."""
    model = Vectors({RED: (1.0, 0.0), BLUE: (1.0, rounding)}, {"up": (0.0, 1.0)})
    scores = score(model, RED, "up", BLUE)
    assert scores.directional is None
    assert scores.to_reference == pytest.approx(1.0)


def test_a_small_change_has_a_direction() -> None:
    model = Vectors({RED: (1.0, 0.0), BLUE: (1.0, 1e-3)}, {"up": (0.0, 1.0)})
    assert score(model, RED, "up", BLUE).directional == pytest.approx(1.0)


def test_each_reference_is_encoded_once_by_its_name() -> None:
    images = {RED: (1.0, 0.0), BLUE: (0.6, 0.8), GREY: (0.0, 1.0), WHITE: (0.8, 0.6)}
    model = Vectors(images, {"up": (0.0, 1.0)})
    scorer = Scorer(cast(TMCIR, model))
    first = scorer.score(
        ["red", "blue", "red"], [plain(RED), plain(BLUE), plain(RED)], ["up"] * 3, [plain(GREY)] * 3
    )
    assert [scores.to_reference for scores in first] == pytest.approx([0.0, 0.8, 0.0])
    assert sorted(model.seen) == sorted([RED, BLUE, GREY, GREY, GREY])
    model.seen.clear()
    second = scorer.score(
        ["blue", "white"], [plain(BLUE), plain(WHITE)], ["up"] * 2, [plain(GREY), plain(RED)]
    )
    assert [scores.to_reference for scores in second] == pytest.approx([0.8, 0.8])
    assert sorted(model.seen) == sorted([WHITE, GREY, RED])
    model.seen.clear()
    scorer.score(["red"], [plain(RED)], ["up"], [plain(GREY)])
    assert model.seen == [GREY]


# Filters

FILTERS = FilterSettings(
    min_directional=0.1, min_reference=0.5, min_brightness=0.2, max_saturated=0.6
)
GOOD: dict[str, Any] = {
    "directional": 0.3,
    "to_reference": 0.8,
    "brightness": 0.5,
    "saturated": 0.1,
}


def table_of(*rows: Mapping[str, Any]) -> pa.Table:
    texts = {name: "" for name in SCHEMA.names if name not in GOOD}
    return pa.Table.from_pylist([{**texts, "seed": 0, **GOOD, **row} for row in rows], SCHEMA)


def rejected(*rows: Mapping[str, Any], thresholds: FilterSettings = FILTERS) -> list[str]:
    return judge(table_of(*rows), thresholds)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"brightness": 0.19}, "dark"),
        ({"saturated": 0.61}, "saturated"),
        ({"directional": 0.09}, "directional"),
        ({"directional": -0.9}, "directional"),
        ({"to_reference": 0.49}, "reference"),
    ],
)
def test_each_filter_has_its_name(change: dict[str, float], reason: str) -> None:
    assert rejected(change) == [reason]


def test_what_is_just_at_a_threshold_is_kept() -> None:
    thresholds = FilterSettings(
        min_directional=0.25, min_reference=0.5, min_brightness=0.125, max_saturated=0.75
    )
    row = {"directional": 0.25, "to_reference": 0.5, "brightness": 0.125, "saturated": 0.75}
    assert rejected(row, thresholds=thresholds) == [""]


def test_the_first_reason_counts() -> None:
    row = {"brightness": 0.0, "saturated": 1.0, "directional": -1.0, "to_reference": -1.0}
    assert rejected(row) == ["dark"]
    assert rejected({**row, "brightness": 0.5}) == ["saturated"]
    assert rejected({**row, "brightness": 0.5, "saturated": 0.1}) == ["directional"]
    assert rejected({**GOOD, "to_reference": -1.0}) == ["reference"]


def test_every_row_is_judged_by_itself() -> None:
    rows = [{}, {"brightness": 0.0}, {}, {"to_reference": 0.0}, {"saturated": 1.0}]
    assert rejected(*rows) == ["", "dark", "", "reference", "saturated"]
    assert rejected() == []


def test_what_was_not_measured_is_no_reason_to_fall() -> None:
    unmeasured = {"directional": None, "to_reference": None}
    strict = FilterSettings(min_directional=1.0, min_reference=1.0)
    assert rejected(unmeasured, unmeasured, thresholds=strict) == ["", ""]
    assert rejected({**unmeasured, "brightness": 0.0}, {}) == ["dark", ""]


def test_an_image_that_did_not_change_falls_whatever_the_threshold() -> None:
    unmoved = {"directional": None, "to_reference": 1.0}
    lenient = FilterSettings(min_directional=-1.0, min_reference=-1.0)
    assert rejected(unmoved, {}, thresholds=lenient) == ["directional", ""]
    assert rejected({**unmoved, "brightness": 0.0}) == ["dark"]


def test_the_defaults_keep_a_good_one_and_drop_the_broken_ones() -> None:
    broken = [
        {"brightness": 0.01},
        {"saturated": 0.99},
        {"directional": -0.2},
        {"to_reference": 0.0},
    ]
    reasons = ["", "dark", "saturated", "directional", "reference"]
    assert rejected({}, *broken, thresholds=FilterSettings()) == reasons


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_directional": 1.1},
        {"min_reference": -2},
        {"min_brightness": -0.1},
        {"max_saturated": 2},
    ],
)
def test_a_threshold_that_makes_no_sense_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FilterSettings(**wrong)


SHARES = st.floats(0, 1, width=32)
COSINES = st.floats(-1, 1, width=32)
ROWS = st.fixed_dictionaries(
    {
        "directional": st.none() | COSINES,
        "to_reference": st.none() | COSINES,
        "brightness": SHARES,
        "saturated": SHARES,
    }
)
THRESHOLDS = st.builds(
    FilterSettings,
    min_directional=COSINES,
    min_reference=COSINES,
    min_brightness=SHARES,
    max_saturated=SHARES,
)


@settings(deadline=None)
@given(rows=st.lists(ROWS, max_size=8), first=THRESHOLDS, second=THRESHOLDS)
def test_stricter_thresholds_never_keep_more(
    rows: list[dict[str, Any]], first: FilterSettings, second: FilterSettings
) -> None:
    strict = FilterSettings(
        min_directional=max(first.min_directional, second.min_directional),
        min_reference=max(first.min_reference, second.min_reference),
        min_brightness=max(first.min_brightness, second.min_brightness),
        max_saturated=min(first.max_saturated, second.max_saturated),
    )
    table = table_of(*rows)
    kept = np.array([reason == "" for reason in judge(table, strict)], dtype=bool)
    for lenient in (first, second):
        assert all(np.array(judge(table, lenient))[kept] == "")


@settings(deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=8), thresholds=THRESHOLDS)
def test_judging_agrees_with_one_row_at_a_time(
    rows: list[dict[str, Any]], thresholds: FilterSettings
) -> None:
    assert rejected(*rows, thresholds=thresholds) == [slow_judge(row, thresholds) for row in rows]


def slow_judge(row: dict[str, Any], thresholds: FilterSettings) -> str:
    directional, to_reference = row["directional"], row["to_reference"]
    if row["brightness"] < thresholds.min_brightness:
        return "dark"
    if row["saturated"] > thresholds.max_saturated:
        return "saturated"
    if directional is None and to_reference is not None:
        return "directional"
    if directional is not None and directional < thresholds.min_directional:
        return "directional"
    if to_reference is not None and to_reference < thresholds.min_reference:
        return "reference"
    return ""
