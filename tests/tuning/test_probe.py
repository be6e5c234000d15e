"""The probe: which columns photos show, and which only follow from those."""

from __future__ import annotations

import random

import pytest
import torch

from tmcir.data.catalogue import Column, Item
from tmcir.tuning.probe import Reading, read_columns

COUNT = 400


@pytest.fixture(scope="module")
def readings() -> dict[str, Reading]:
    """Kind is in the features; season follows from the kind in four of five; stock is random."""
    generator = random.Random(0)
    kinds = [generator.choice(["shirt", "boot", "hat"]) for _ in range(COUNT)]
    colours = [generator.choice(["red", "blue"]) for _ in range(COUNT)]
    seasons = [
        generator.choice(["summer", "winter"])
        if generator.random() < 0.4
        else {"shirt": "summer", "boot": "winter", "hat": "winter"}[kind]
        for kind in kinds
    ]
    stock = [generator.choice(["yes", "no"]) for _ in range(COUNT)]
    rare = ["x" if generator.random() < 0.97 else "y" for _ in range(COUNT)]
    table = {"kind": kinds, "colour": colours, "season": seasons, "stock": stock, "rare": rare}
    features = torch.randn(COUNT, 40, generator=torch.Generator().manual_seed(0))
    for row, (kind, colour) in enumerate(zip(kinds, colours, strict=True)):
        features[row, ["shirt", "boot", "hat"].index(kind)] += 6
        features[row, 3 + ["red", "blue"].index(colour)] += 6
    items = [
        Item(f"{row}", f"{row}", tuple((values[row],) for values in table.values()), ())
        for row in range(COUNT)
    ]
    columns = [
        Column(name, name, "", tuple(set(values)), tuple((one,) for one in values), 1.0)
        for name, values in table.items()
    ]
    return {one.column: one for one in read_columns(columns, items, features)}


def test_what_photos_show_is_readable(readings: dict[str, Reading]) -> None:
    assert readings["kind"].accuracy > 0.95
    assert readings["kind"].readable
    assert readings["colour"].readable


def test_what_follows_from_other_columns_is_not(readings: dict[str, Reading]) -> None:
    season = readings["season"]
    assert season.accuracy > season.majority + 0.05  # the kind says it often
    assert season.told_apart == pytest.approx(0.5, abs=0.15)  # but no photo does
    assert not season.readable


@pytest.mark.parametrize("column", ["stock", "rare"])
def test_chance_and_the_most_frequent_value_are_not(
    readings: dict[str, Reading], column: str
) -> None:
    assert not readings[column].readable


def test_figures_are_named(readings: dict[str, Reading]) -> None:
    reading = Reading("price", 0.46, 0.45, 200)
    assert reading.figure == "right 46%, most frequent value 45%"
    assert not reading.readable
    assert "look-alikes distinguished" in readings["season"].figure
