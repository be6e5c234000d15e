"""The attributes of rendered garments, and what a change of them means."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmcir.core.errors import TMCIRError
from tmcir.rendered.changes import Change, is_answer, kept_and_changed, kept_attributes
from tmcir.rendered.garment import Garment
from tmcir.rendered.palette import COLOURS, LEVELS, contrasting, lightness_of, shade_of
from tmcir.rendered.sampling import edit_garment, random_edit, sample_garment
from tmcir.rendered.vocabulary import ATTRIBUTES, KINDS, values_of

SHIRT = Garment("shirt", "white", sleeve="long", neckline="collar", closure="buttons")
DRESS = Garment("dress", "red", sleeve="short", neckline="V", length="knee", belt=True)
seeds = st.integers(0, 2**32).map(random.Random)


# Which kind has what


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kind": "kilt"}, "unknown kind 'kilt'"),
        ({"colour": "nvy"}, "did you mean 'navy'"),
        ({"kind": "skirt"}, "skirt .* cannot have sleeve 'short'"),
        ({"sleeve": None}, "cannot have sleeve None"),
        ({"neckline": "lapels"}, "cannot have neckline 'lapels'"),
        ({"second_colour": "navy"}, "cannot have second_colour 'navy'"),
        ({"pattern": "dots"}, "cannot have second_colour None"),
        ({"pattern": "dots", "second_colour": "red"}, "cannot have second_colour 'red'"),
        ({"belt": 1.5}, "unknown belt"),
    ],
)
def test_rejects_what_cannot_be(values: dict[str, Any], words: str) -> None:
    with pytest.raises(TMCIRError, match=words):
        DRESS.replace(**values)


def test_rejects_an_unknown_attribute() -> None:
    with pytest.raises(TMCIRError, match="did you mean 'sleeve'"):
        values_of("dress", "sleeves")


@given(seeds)
@settings(max_examples=300, deadline=None)
def test_random_garments_have_only_values_of_their_kind(generator: random.Random) -> None:
    garment = sample_garment(generator)
    assert all(garment.value(name) in garment.choices(name) for name in ATTRIBUTES)
    assert (garment.second_colour is None) == (garment.pattern == "solid")


def test_random_garments_reach_every_value_of_every_kind() -> None:
    generator = random.Random(0)
    for kind in KINDS:
        garments = [sample_garment(generator, kind=kind) for _ in range(400)]
        for name in set(ATTRIBUTES) - {"second_colour"} - {"kind"}:
            assert {garment.value(name) for garment in garments} == set(values_of(kind, name))


@given(seeds, st.integers(1, 3))
@settings(max_examples=300, deadline=None)
def test_an_edit_changes_something_and_nothing_else_without_need(
    generator: random.Random, count: int
) -> None:
    garment = sample_garment(generator)
    edited = random_edit(garment, generator, count)
    assert edited != garment
    if edited.kind == garment.kind:
        changed = {n for n in ATTRIBUTES if edited.value(n) != garment.value(n)}
        assert len(changed - {"second_colour"}) <= count


def test_an_edit_keeps_what_the_new_kind_can_have() -> None:
    edited = edit_garment(DRESS, random.Random(0), kind="skirt")
    assert (edited.colour, edited.length, edited.belt) == ("red", "knee", True)
    assert (edited.sleeve, edited.neckline) == (None, None)


# What follows from the parts


def test_formality_adds_up() -> None:
    assert SHIRT.formality == 5 + 2 + 1 + 3  # shirt, collar, buttons, solid
    loose = SHIRT.replace(pattern="floral", second_colour="blue", fit="loose")
    assert loose.formality == 5 + 2 + 1 + 0 - 1


def test_busyness_grows_with_the_pattern() -> None:
    steps = [
        Garment("shorts", "white", pattern, None if pattern == "solid" else "navy").busyness
        for pattern in ("solid", "horizontal stripes", "dots", "checks", "floral")
    ]
    assert all(low < high for low, high in pairwise(steps))


def test_every_shade_of_a_darker_level_is_darker() -> None:
    for dark, light in pairwise(LEVELS):
        darkest = min(shade_of(name, 0.0).brightness for name in light)
        assert max(shade_of(name, 1.0).brightness for name in dark) < darkest
    assert {lightness_of(name) for name in COLOURS} == set(range(len(LEVELS)))


def test_shades_are_nearest_to_their_own_name() -> None:
    for name in COLOURS:
        for shade in (0.0, 0.3, 0.7, 1.0):
            colour = shade_of(name, shade)
            nearest = min(COLOURS, key=lambda n: colour.distance(shade_of(n, 0.5)))
            assert nearest == name


def test_patterns_can_be_seen_and_every_ground_has_several() -> None:
    for name in COLOURS:
        assert name not in contrasting(name)
        assert len(contrasting(name)) >= 5


# Changes


def test_changes_by_hand() -> None:
    maxi = DRESS.replace(length="long")
    assert Change("length", "equals", "long").satisfied_by(DRESS, maxi)
    assert Change("length", "more").satisfied_by(DRESS, maxi)
    assert not Change("length", "less").satisfied_by(DRESS, maxi)
    assert not Change("length", "more").satisfied_by(DRESS, DRESS)
    beltless = DRESS.replace(belt=False)
    assert Change("belt", "has not", True).satisfied_by(DRESS, beltless)
    assert not Change("belt", "has not", True).satisfied_by(beltless, beltless)  # it had none
    lace = DRESS.replace(trim="lace")
    assert Change("trim", "has", "lace").satisfied_by(DRESS, lace)
    # Ruffles in the place of lace are not "without the lace".
    assert not Change("trim", "has not", "lace").satisfied_by(lace, DRESS.replace(trim="ruffle"))


def test_only_sleeves_can_be_shorter() -> None:
    change = Change("sleeve", "less")
    assert change.satisfied_by(SHIRT, SHIRT.replace(sleeve="short"))
    assert not change.satisfied_by(DRESS, DRESS.replace(sleeve="sleeveless"))


@pytest.mark.parametrize(
    "wrong",
    [
        ("sleeves", "more", None),
        ("colour", "more", None),
        ("belt", "has", None),
        ("length", "more", "long"),
        ("formality", "equals", 3),
        ("sleeve", "has", "long"),
        ("belt", "lacks", True),
    ],
)
def test_rejects_changes_without_a_meaning(wrong: tuple[Any, Any, Any]) -> None:
    with pytest.raises(TMCIRError):
        Change(*wrong)


def test_all_else_must_stay() -> None:
    navy = Change("colour", "equals", "navy")
    assert is_answer(DRESS, [navy], DRESS.replace(colour="navy"))
    assert not is_answer(DRESS, [navy], DRESS.replace(colour="navy", belt=False))
    assert not is_answer(DRESS, [navy], DRESS)


def test_what_a_change_rules_out_need_not_stay() -> None:
    skirt = Garment("skirt", "red", length="knee", belt=True)
    change = Change("kind", "equals", "skirt")
    assert is_answer(DRESS, [change], skirt)
    assert not is_answer(DRESS, [change], skirt.replace(length="long"))
    dotted = DRESS.replace(pattern="dots", second_colour="white")
    assert is_answer(dotted, [Change("pattern", "has not", "dots")], DRESS)
    assert is_answer(DRESS, [Change("pattern", "has", "dots")], dotted)


def test_more_formal_leaves_open_by_which_part() -> None:
    change = Change("formality", "more")
    assert is_answer(DRESS, [change], DRESS.replace(neckline="collar"))  # 2 for 1
    assert is_answer(DRESS, [change], DRESS.replace(fit="slim"))
    assert not is_answer(DRESS, [change], DRESS.replace(neckline="boat"))
    assert not is_answer(DRESS, [change], DRESS.replace(neckline="collar", belt=False))


def test_shares_kept_and_changed_by_hand() -> None:
    changes = [Change("colour", "equals", "navy"), Change("sleeve", "more")]
    # Ten attributes of a red dress in solid cloth have a choice: all but kind's none and the
    # second colour's. Of the other nine, one goes wrong.
    result = DRESS.replace(colour="navy", belt=False)
    others = set(ATTRIBUTES) - {"colour", "sleeve", "second_colour"}
    assert kept_and_changed(DRESS, changes, result) == (0.5, (len(others) - 1) / len(others))
    assert kept_and_changed(DRESS, changes, DRESS) == (0.0, 1.0)
    assert kept_and_changed(DRESS, [], DRESS) == (1.0, 1.0)


def test_a_wrong_kind_frees_nothing() -> None:
    skirt = Garment("skirt", "navy", length="knee", belt=True)
    change = Change("colour", "equals", "navy")
    assert "sleeve" in kept_attributes(DRESS, [change], skirt)
    assert kept_and_changed(DRESS, [change], skirt)[1] < 0.8
