"""Values and names of columns as people say them."""

from __future__ import annotations

import pytest

from tmcir.data.catalogue.cells import bin_numbers, find_separator, split_cell
from tmcir.data.catalogue.words import is_flag, meaning_of, one_spelling, said, say_flag


@pytest.mark.parametrize(
    ("given", "spoken"),
    [
        ("Navy_Blue", "navy blue"),
        ("navy  blue ", "navy blue"),
        ("baseColour", "base colour"),
        ("T-Shirt", "t-shirt"),
        ("XXL", "XXL"),
        ("SUMMER", "summer"),
        ("2011", "2011"),
    ],
)
def test_values_are_said_as_people_say_them(given: str, spoken: str) -> None:
    assert said(given) == spoken


@pytest.mark.parametrize(
    ("column", "meaning"),
    [
        ("baseColour", "colour"),
        ("Farbe", "colour"),
        ("article_type", "kind"),
        ("Size (EU)", "size"),
        ("brand name", "brand"),
        ("voltage", ""),
    ],
)
def test_the_meaning_of_a_column_is_in_its_name(column: str, meaning: str) -> None:
    assert meaning_of(column) == meaning


def test_spellings_of_one_value_become_the_most_frequent_one() -> None:
    spelling, several = one_spelling(["navy_blue", "Navy Blue", "Navy Blue", "red", "NAVY-BLUE"])
    assert {spelling[one] for one in ("navy_blue", "Navy Blue", "NAVY-BLUE")} == {"Navy Blue"}
    assert spelling["red"] == "red"
    assert several == ["'NAVY-BLUE' = 'Navy Blue' = 'navy_blue'"]


def test_yes_and_no_are_said_by_the_column() -> None:
    assert is_flag(["True", "False"])
    assert is_flag(["1", "0"])
    assert not is_flag(["1", "2"])
    assert not is_flag([])
    assert (say_flag("True", "for kids"), say_flag("no", "for kids")) == (
        "for kids",
        "not for kids",
    )


def test_a_cell_of_several_values_is_split() -> None:
    cells = ["red|blue", "blue", "red", "green|red", "blue|green"] * 3
    assert find_separator(cells) == "|"
    assert split_cell("red| blue |red", "|") == ("red", "blue")
    assert split_cell("", "|") == ()


@pytest.mark.parametrize(
    "cells", [["Shirt, long, by A", "Shirt, short, by B"] * 5, ["a", "b"] * 9, []]
)
def test_commas_of_titles_separate_nothing(cells: list[str]) -> None:
    titles = [f"{cell}{number}" for number, cell in enumerate(cells)]
    assert find_separator(titles) is None


def test_numbers_become_steps_of_about_equal_size() -> None:
    found = bin_numbers([1, 2, 3, 4, None, 90], 2, "price")
    # the median of 1, 2, 3, 4, 90 is 3
    assert found == ["price up to 3"] * 3 + ["price over 3", "", "price over 3"]
