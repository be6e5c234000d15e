from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.service.conftest import make_table
from tmcir.core.errors import TMCIRError
from tmcir.gallery.arranging import MINIMUM_SORTED, SORTED_PHOTOS, Arrangement, Sort, arrange
from tmcir.gallery.gallery import Gallery
from tmcir.gallery.stores.base import Neighbours, Value

Row = dict[str, Value]


def arranged(values: Sequence[tuple[Value, Value]], arrangement: Arrangement) -> list[list[int]]:
    """Arrange photos 0, 1, ... of these products and prices: a list of places a tile."""
    ids = [str(place) for place in range(len(values))]
    rows: dict[str, Row] = {
        name: {"product": product, "price": price}
        for name, (product, price) in zip(ids, values, strict=True)
    }
    count = len(values)
    found = Neighbours(ids, np.linspace(1, 0, count), np.zeros((count, 2), np.float32))
    tiles = arrange(found, rows, arrangement, lambda names: {})
    return [[tile.position, *tile.grouped] for tile in tiles]


def test_the_nearest_photo_stands_for_its_product() -> None:
    values = [("a", 1), ("b", 1), ("a", 1), (None, 1), ("a", 1), (None, 1), ("c", 1)]
    assert arranged(values, Arrangement(group="product")) == [[0, 2, 4], [1], [3], [5], [6]]


def test_equal_values_keep_the_order_of_relevance_in_both_directions() -> None:
    values = [("a", 3), ("b", None), ("c", 1), ("d", 3), ("e", 1), ("f", None)]
    up = arranged(values, Arrangement(sort=Sort("price")))
    assert up == [[2], [4], [0], [3], [1], [5]]
    down = arranged(values, Arrangement(sort=Sort("price", descending=True)))
    assert down == [[0], [3], [2], [4], [1], [5]]


def test_a_product_is_sorted_by_its_nearest_photo() -> None:
    values = [("a", 9), ("b", 5), ("a", 1)]
    assert arranged(values, Arrangement(group="product", sort=Sort("price"))) == [[1], [0, 2]]


pairs = st.tuples(st.none() | st.sampled_from("abc"), st.none() | st.integers(0, 3))


@given(values=st.lists(pairs, max_size=12), more=st.lists(pairs, max_size=6))
def test_grouping_loses_nothing_and_begins_the_same_with_more(
    values: list[tuple[Value, Value]], more: list[tuple[Value, Value]]
) -> None:
    short = arranged(values, Arrangement(group="product"))
    assert sorted(place for tile in short for place in tile) == list(range(len(values)))
    longer = arranged(values + more, Arrangement(group="product"))
    assert [tile[0] for tile in longer[: len(short)]] == [tile[0] for tile in short]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    rows = [f"P{number // 3},{(7 * number) % 60}" for number in range(60)]
    return make_table(tmp_path_factory.mktemp("arranged"), "product_id,price", rows)


def query(gallery: Gallery) -> np.ndarray:
    from tmcir.gallery import Query

    vector: np.ndarray = gallery.embed([Query(item="001.png")])[0]
    return vector


def test_pages_of_products_are_the_whole_list(shop: Gallery) -> None:
    vector = query(shop)
    whole = shop.find(vector, 60, group="product_id")
    assert len(whole) == 20 and {len(hit.grouped) for hit in whole} == {2}
    pages = [shop.find(vector, 7, group="product_id", offset=offset) for offset in (0, 7, 14, 21)]
    assert [hit.id for page in pages for hit in page] == [hit.id for hit in whole]
    assert [hit.rank for page in pages for hit in page] == list(range(1, 21))
    nearest = {hit.metadata["product_id"]: hit.id for hit in reversed(shop.find(vector, 60))}
    assert {hit.metadata["product_id"]: hit.id for hit in whole} == nearest


def test_a_sorted_search_sorts_the_relevant_photos_alone(shop: Gallery) -> None:
    vector = query(shop)
    nearest = shop.find(vector, 60)
    middle = (nearest[0].score + nearest[-1].score) / 2
    relevant = max(MINIMUM_SORTED, sum(hit.score >= middle for hit in nearest))
    hits = shop.find(vector, 60, sort=Sort("price"))
    assert {hit.id for hit in hits} == {hit.id for hit in nearest[:relevant]}
    prices = [hit.metadata["price"] for hit in hits]
    assert prices == sorted(prices, key=float)
    parts = [shop.find(vector, 10, sort=Sort("price"), offset=at) for at in range(0, 60, 10)]
    assert [hit.id for part in parts for hit in part] == [hit.id for hit in hits]
    filtered = shop.find(vector, 60, sort=Sort("price", True), where="price < 9")
    prices = [hit.metadata["price"] for hit in filtered]
    assert prices == sorted(prices, key=float, reverse=True)
    assert len(prices) == 9 < SORTED_PHOTOS


def test_an_unknown_column_is_named(shop: Gallery) -> None:
    for options in ({"group": "produkt_id"}, {"sort": Sort("produkt_id")}):
        with pytest.raises(TMCIRError, match="did you mean 'product_id'"):
            shop.find(query(shop), 3, **options)


def test_an_empty_gallery_is_arranged(tmp_path: Path) -> None:
    gallery = make_table(tmp_path, "price", ["1"])
    vector = gallery._store.vectors(["shoes/000.png"])["shoes/000.png"]
    gallery.remove(["shoes/000.png"])
    assert gallery.find(vector, 3, sort=Sort("price"), group="price") == []
