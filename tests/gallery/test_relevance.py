from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gallery.fake import FakeModel, draw_photos
from tmcir.core.errors import TMCIRError
from tmcir.gallery import Gallery, Query
from tmcir.gallery.relevance import OFFSET, SAMPLE, STEEPNESS, Background
from tmcir.gallery.stores.base import unit


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    folder = tmp_path_factory.mktemp("relevance")
    opened = Gallery.open(folder / "shop", FakeModel())
    opened.add(draw_photos(folder / "photos", 20))
    return opened


def test_relevance_by_hand() -> None:
    # photos (1, 0) and (0, 1): mean (1/2, 1/2); scores of either are 1 and 0, deviation 1/2
    background = Background.of(np.eye(2, dtype=np.float32), 2)
    assert background.mean.tolist() == [0.5, 0.5] and background.spread == pytest.approx(0.5)
    query = np.array([1, 0], np.float32)  # scores of the photos: 1 and 0, of the mean: 1/2
    near, far = background.relevance(query, np.array([1.0, 0.0]))
    assert near == pytest.approx(1 / (1 + math.exp(-(STEEPNESS * 1 - OFFSET))))
    assert far == pytest.approx(1 / (1 + math.exp(-(-STEEPNESS - OFFSET))))


def test_the_spread_is_that_of_all_pairs() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(50, 7)) + 0.3)
    scores = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    expected = np.sqrt(np.mean([row.var() for row in scores]))
    assert Background.of(vectors, 50).spread == pytest.approx(expected)


@given(st.floats(0.001, 0.999), st.integers(0, 99))
def test_the_minimum_score_has_that_relevance(relevance: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    background = Background.of(unit(random.normal(size=(9, 4))), 9)
    query = unit(random.normal(size=(1, 4)))[0]
    score = background.minimum_score(query, relevance)
    assert background.relevance(query, np.array([score]))[0] == pytest.approx(relevance)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_or_equal_photos_have_a_background(count: int) -> None:
    vectors = np.tile(np.array([[1, 0, 0]], np.float32), (count, 1))
    background = Background.of(vectors.reshape(count, 3), count)
    assert background.spread > 0
    found = background.relevance(np.array([1, 0, 0], np.float32), np.array([1.0, -1.0]))
    assert ((found >= 0) & (found <= 1)).all()


def test_a_minimum_ends_the_results_where_relevance_falls_below_it(gallery: Gallery) -> None:
    vector = gallery.embed([_query("red")])[0]
    hits = gallery.find(vector, 20)
    relevance = [hit.relevance for hit in hits]
    assert relevance == sorted(relevance, reverse=True) and len(set(relevance)) == 20
    limit = (relevance[6] + relevance[7]) / 2
    assert gallery.find(vector, 20, min_relevance=limit) == hits[:7]
    assert gallery.find(vector, 3, offset=5, min_relevance=limit) == hits[5:7]
    assert gallery.find(vector, 5, min_relevance=1) == []
    assert gallery.find(vector, 5, min_relevance=0) == hits[:5]
    assert gallery.find(vector, 20, deduplicate=True, min_relevance=limit) == hits[:7]
    assert gallery.search(text="red", k=20, min_relevance=limit) == hits[:7]


def test_a_filter_does_not_change_relevance(gallery: Gallery) -> None:
    vector = gallery.embed([_query("red")])[0]
    everywhere = {hit.id: hit.relevance for hit in gallery.find(vector, 20)}
    shoes = gallery.find(vector, 20, where="id LIKE 'shoes/%'")
    assert 0 < len(shoes) < 20
    assert all(hit.relevance == everywhere[hit.id] for hit in shoes)


@pytest.mark.parametrize("minimum", [-0.1, 1.1, math.nan])
def test_a_minimum_out_of_range_is_an_error(gallery: Gallery, minimum: float) -> None:
    with pytest.raises(TMCIRError, match="min_relevance must lie between 0 and 1"):
        gallery.search(text="red", min_relevance=minimum)


def test_new_photos_change_what_relevance_compares_with(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    gallery.add(draw_photos(tmp_path / "photos", 5))
    before = gallery.background()
    assert gallery.background() is before and before.photos == 5
    gallery.add(draw_photos(tmp_path / "photos", 9))
    assert gallery.background().photos == 9
    assert not np.array_equal(gallery.background().mean, before.mean)


def test_the_sample_is_bounded_and_the_same_for_all(gallery: Gallery, tmp_path: Path) -> None:
    store = gallery._store
    assert store.sample(SAMPLE).shape == (20, 48) and store.sample(7).shape == (7, 48)
    assert np.array_equal(store.sample(7), store.sample(7))
    approximate = Gallery.open(gallery._uri, FakeModel(), exact_up_to=0)._store
    assert approximate.sample(7).shape == (7, 48)
    assert np.array_equal(approximate.sample(7), approximate.sample(7))
    everything = np.sort(store.sample(20), axis=0)
    assert np.allclose(np.sort(approximate.sample(20), axis=0), everything)


def _query(text: str) -> Query:
    return Query(text=text)
