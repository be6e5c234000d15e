"""Catalogues whose texts change single parts alone."""

from __future__ import annotations

import pytest

from tmcir.core.errors import TMCIRError
from tmcir.rendered.catalogue import NEGATION, SEVERAL, RenderedCatalogue
from tmcir.rendered.vocabulary import ATTRIBUTES, LOCAL


@pytest.fixture(scope="module")
def local() -> RenderedCatalogue:
    return RenderedCatalogue("nowhere", "val", items=400, queries=200, changes="local")


def test_a_target_differs_from_its_reference_in_local_parts_alone(local: RenderedCatalogue) -> None:
    for triplet in local.triplets:
        assert triplet.target is not None
        reference, target = local.garment_of(triplet.reference), local.garment_of(triplet.target)
        differing = {one for one in ATTRIBUTES if reference.value(one) != target.value(one)}
        assert differing and differing <= set(LOCAL)
        asked = local.changes_of(triplet.id).changes
        assert {change.attribute for change in asked} == differing  # never "more formal"


def test_every_local_change_is_a_kind_and_so_is_negation(local: RenderedCatalogue) -> None:
    assert {triplet.kind for triplet in local.triplets} == {*LOCAL, NEGATION, SEVERAL}
    for triplet in local.triplets:
        if triplet.kind == NEGATION:
            (change,) = local.changes_of(triplet.id).changes
            assert change.predicate == "has not" or change.value == "sleeveless"


def test_it_shares_no_picture_with_the_catalogue_of_all_changes(local: RenderedCatalogue) -> None:
    other = RenderedCatalogue("nowhere", "val", items=400, queries=1)
    assert set(local.image_names()).isdisjoint(other.image_names())


def test_an_unknown_set_of_changes_is_an_error() -> None:
    with pytest.raises(TMCIRError, match="did you mean 'local'"):
        RenderedCatalogue("nowhere", changes="locl")
