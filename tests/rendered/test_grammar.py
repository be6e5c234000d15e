"""Texts about rendered garments are true, varied and the same for the same seed."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmcir.core.errors import TMCIRError
from tmcir.rendered.changes import Change, is_answer
from tmcir.rendered.descriptions import describe
from tmcir.rendered.garment import Garment
from tmcir.rendered.grammar import modify, say
from tmcir.rendered.palette import COLOURS
from tmcir.rendered.sampling import random_edit, sample_garment
from tmcir.rendered.typos import misspell
from tmcir.rendered.vocabulary import KINDS

DRESS = Garment("dress", "red", sleeve="short", neckline="V", length="knee", belt=True)
seeds = st.integers(0, 2**32).map(random.Random)


def draw_pairs(count: int, seed: int = 0) -> list[tuple[Garment, Garment]]:
    generator = random.Random(seed)
    references = [sample_garment(generator) for _ in range(count)]
    return [(one, random_edit(one, generator, generator.randint(1, 3))) for one in references]


def say_all(change: Change, target: Garment, reference: Garment = DRESS) -> set[str]:
    return {say([change], reference, target, random.Random(seed)) for seed in range(400)}


@given(seeds, st.integers(1, 3))
@settings(max_examples=400, deadline=None)
def test_a_text_is_true_of_the_target_and_not_yet_of_the_reference(
    generator: random.Random, edits: int
) -> None:
    reference = sample_garment(generator)
    target = random_edit(reference, generator, edits)
    asked = modify(reference, target, generator)
    assert asked.changes
    assert is_answer(reference, asked.changes, target)
    assert not any(change.satisfied_by(reference, reference) for change in asked.changes)


@given(seeds)
@settings(max_examples=200, deadline=None)
def test_a_text_leads_between_any_two_garments(generator: random.Random) -> None:
    reference, target = sample_garment(generator), sample_garment(generator)
    if reference != target:
        asked = modify(reference, target, generator)
        assert is_answer(reference, asked.changes, target)


@given(seeds)
@settings(max_examples=300, deadline=None)
def test_a_text_names_only_colours_of_the_two_and_the_kind_asked_for(
    generator: random.Random,
) -> None:
    reference = sample_garment(generator)
    target = random_edit(reference, generator, 2)
    text = f" {modify(reference, target, generator).text} ".replace("light blue", "sky")
    known = {reference.colour, target.colour, target.second_colour, reference.second_colour}
    for colour in COLOURS:
        if colour not in known and colour != "light blue":
            assert f" {colour} " not in text
    for kind in set(KINDS) - {reference.kind, target.kind}:
        assert not re.search(rf"(?<!-)\b{kind}\b(?! collar| it )", text)


def test_a_text_is_tidy() -> None:
    for reference, target in draw_pairs(1500):
        text = modify(reference, target, random.Random(0)).text
        assert text == text.strip()
        assert "  " not in text
        assert not re.search(r"None|True|[{}_]|\ba [aeiou]|\ban [^aeiou]|\bwith with\b", text)


def test_texts_have_every_form() -> None:
    forms = {
        change.form
        for reference, target in draw_pairs(300)
        for change in modify(reference, target, random.Random(1)).changes
    }
    assert forms == {"absolute", "relative", "additive", "negative"}


@pytest.mark.parametrize(
    ("change", "target", "expected"),
    [
        (Change("colour", "equals", "navy"), DRESS.replace(colour="navy"), "the same in navy"),
        (Change("lightness", "less"), DRESS.replace(colour="navy"), "is darker"),
        (Change("sleeve", "more"), DRESS.replace(sleeve="long"), "has longer sleeves"),
        (Change("trim", "has", "lace"), DRESS.replace(trim="lace"), "add lace trim"),
        (Change("belt", "has not", True), DRESS.replace(belt=False), "without the belt"),
        (Change("formality", "more"), DRESS.replace(fit="slim"), "it is more formal"),
    ],
)
def test_one_change_in_many_ways(change: Change, target: Garment, expected: str) -> None:
    texts = say_all(change, target)
    assert expected in texts
    assert len(texts) >= 20


def test_several_changes_at_once() -> None:
    changes = [Change("colour", "equals", "navy"), Change("sleeve", "equals", "long")]
    target = DRESS.replace(colour="navy", sleeve="long")
    texts = {say(changes, DRESS, target, random.Random(seed)) for seed in range(500)}
    assert "in navy and with long sleeves" in texts
    assert "is navy and has long sleeves" in texts
    assert len(texts) > 100


def test_a_negation_does_not_reach_the_next_change() -> None:
    changes = [Change("belt", "has not", True), Change("pockets", "has", True)]
    target = DRESS.replace(belt=False, pockets=True)
    texts = {say(changes, DRESS, target, random.Random(seed)) for seed in range(500)}
    assert "has no belt and has pockets" in texts
    assert not any("no belt and pockets" in text for text in texts)


def test_a_new_pattern_is_named_with_its_colour() -> None:
    changes = [Change("pattern", "has", "dots"), Change("second_colour", "equals", "white")]
    target = DRESS.replace(pattern="dots", second_colour="white")
    texts = {say(changes, DRESS, target, random.Random(seed)) for seed in range(50)}
    assert "with white dots" in texts
    assert all("white dots" in text for text in texts)


def test_alike_garments_have_no_text() -> None:
    with pytest.raises(TMCIRError, match="no difference"):
        modify(DRESS, DRESS, random.Random(0))


def test_the_same_seed_says_the_same() -> None:
    pairs = draw_pairs(50)

    def texts(seed: int) -> list[str]:
        generator = random.Random(seed)
        return [modify(one, other, generator, typos=0.1).text for one, other in pairs]

    assert texts(4) == texts(4)
    assert texts(4) != texts(5)


# Typos


def test_rate_zero_leaves_a_text_alone_and_draws_nothing() -> None:
    generator = random.Random(0)
    state = generator.getstate()
    assert misspell("with longer sleeves", generator, 0.0) == "with longer sleeves"
    assert generator.getstate() == state


@given(seeds)
def test_rate_one_misspells_every_longer_word(generator: random.Random) -> None:
    before = "with longer sleeves and a V-neck in light blue?"
    after = misspell(before, generator, 1.0)
    for old, new in zip(before.split(), after.split(), strict=True):
        long = len(re.sub(r"[^A-Za-z]", "", old.split("-")[-1])) >= 4
        assert (old != new) == long
        assert old[0] == new[0]


def test_the_rate_is_kept_roughly() -> None:
    text = " ".join(["sleeves"] * 2000)
    wrong = sum(word != "sleeves" for word in misspell(text, random.Random(0), 0.1).split())
    assert 150 < wrong < 250


# Descriptions


@given(seeds)
@settings(max_examples=200, deadline=None)
def test_descriptions_are_several_and_true(generator: random.Random) -> None:
    garment = sample_garment(generator)
    texts = describe(garment, generator)
    assert len(texts) >= 3
    for text in texts:
        assert garment.kind in text
        assert garment.colour in text
        assert ("belt" in text) <= garment.belt
        assert not re.search(r"None|True|\ba [aeiou]|  ", text)
    assert ("a belt" in texts[1]) == garment.belt


def test_a_description_by_hand() -> None:
    texts = describe(DRESS, random.Random(0))
    assert texts[0] == "red dress"
    assert texts[1].startswith("a knee-length red dress with short sleeves, a V-neck")
    assert texts[3] == "dress in red, plain, regular fit, short sleeves, knee-length, belt"
