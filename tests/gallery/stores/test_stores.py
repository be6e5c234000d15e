"""What every store promises, on each of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from tests.gallery.fake import FakeModel, draw_photos
from tmcir.core.errors import TMCIRError, UnknownItemError
from tmcir.gallery import Condition, Gallery, Query, to_where
from tmcir.gallery.stores.approximate import recall
from tmcir.gallery.stores.base import FileState, ModelRecord, Rows, Store, unit
from tmcir.gallery.stores.exact import nearest
from tmcir.gallery.stores.opening import open_store

pytestmark = pytest.mark.slow

MILVUS = os.environ.get("TMCIR_MILVUS_URI", "")  # a server, such as milvus://127.0.0.1:19530
SIZE = 48
Open = Callable[..., Store]


@pytest.fixture(params=["lance", "milvus"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a gallery that does not exist yet."""
    if request.param == "lance":
        yield str(tmp_path / "shop")
        return
    if not MILVUS:
        pytest.skip("TMCIR_MILVUS_URI names no Milvus server")
    from pymilvus import MilvusClient

    name = f"test_{os.getpid()}_{abs(hash(request.node.name)) % 10**8}"
    yield f"{MILVUS}/{name}?consistency=Strong"
    client = MilvusClient(uri=MILVUS.replace("milvus://", "http://"))
    client.drop_collection(name)
    client.close()


def rows(start: int, count: int, seed: int = 0) -> Rows:
    """Random vectors; the tenth of them equal the first, to have ties."""
    random = np.random.default_rng(seed)
    vectors = unit(random.normal(size=(count, SIZE)).astype(np.float32))
    vectors[::10] = vectors[0]
    numbers = range(start, start + count)
    return Rows(
        ids=[f"shop's/{number:04}.jpg" for number in numbers],
        files=[
            FileState(f"/photos/{number}", number, 10 * number, f"{number:x}") for number in numbers
        ],
        metadata=[
            {"year": number, "price": number / 4, "colour": ("Red", "O'Blue", None)[number % 3]}
            for number in numbers
        ],
        vectors=vectors,
        thumbnails=[f"jpeg {number}".encode() for number in numbers],
    )


def fill(store: Store, content: Rows, tidy: bool = True) -> None:
    with store.alone():
        if store.model() is None:
            store.create(ModelRecord("fake", "0123", SIZE, "runs/model"), "float32")
            store.add_columns({"year": "integer", "price": "number"})
            store.add_columns({"colour": "text"})
        store.insert(content)
        if tidy:
            store.tidy()


def test_rows_are_read_as_they_were_written(uri: str) -> None:
    store = open_store(uri)
    assert store.model() is None and len(store) == 0
    given = rows(0, 30)
    assert given.vectors is not None and given.thumbnails is not None
    fill(store, given)
    again = open_store(uri)
    assert again.model() == ModelRecord("fake", "0123", SIZE, "runs/model")
    assert again.columns() == {"year": "integer", "price": "number", "colour": "text"}
    assert len(again) == 30
    assert again.files() == dict(zip(given.ids, given.files, strict=True))
    assert again.metadata() == dict(zip(given.ids, given.metadata, strict=True))
    name = given.ids[7]
    np.testing.assert_array_equal(again.vectors([name, "none"])[name], given.vectors[7])
    assert again.thumbnails([name, "none"]) == {name: b"jpeg 7"}
    assert again.file(name) == given.files[7] and again.file("none") is None
    expected = {"id": name, "path": "/photos/7", "content_hash": "7", **given.metadata[7]}
    assert again.rows([name, "none"]) == {name: expected}
    assert again.values("colour") == {"Red": 10, "O'Blue": 10}
    info = again.info()
    assert (info.precision, info.index) == ("float32", "")


def test_settings_are_kept_beside_the_rows(uri: str) -> None:
    store = open_store(uri)
    fill(store, rows(0, 3))
    assert store.setting("a") is None
    store.change_setting("a", "it's one")
    store.change_setting("b", "two")
    store.change_setting("a", "größe")
    again = open_store(uri)
    assert (again.setting("a"), again.setting("b"), again.setting("c")) == ("größe", "two", None)
    assert len(again) == 3


def test_insert_keeps_update_changes_and_remove_removes(uri: str) -> None:
    store = open_store(uri)
    fill(store, rows(0, 10))
    other = rows(0, 20, seed=1)
    assert other.vectors is not None
    store.insert(other)  # the first ten are there
    first = rows(0, 10)
    assert first.vectors is not None
    stored = store.vectors([other.ids[3], other.ids[13]])
    np.testing.assert_array_equal(stored[other.ids[3]], first.vectors[3])
    np.testing.assert_array_equal(stored[other.ids[13]], other.vectors[13])
    changed = FileState("/moved", 1, 2, "ff")
    described = Rows([other.ids[3], "stranger"], [changed, changed], [{"year": 1}, {}], None)
    store.update(described)  # neither vector nor thumbnail
    assert len(store) == 20
    assert store.file(other.ids[3]) == changed
    assert store.metadata()[other.ids[3]] == {"year": 1, "price": None, "colour": None}
    np.testing.assert_array_equal(store.vectors([other.ids[3]])[other.ids[3]], first.vectors[3])
    assert store.thumbnails(other.ids[3:4]) == {other.ids[3]: b"jpeg 3"}
    assert store.remove([*other.ids[:5], "stranger"]) == 5
    store.tidy()
    assert len(store) == 15 and other.ids[3] not in store.files()


@pytest.mark.parametrize("exact_up_to", [10_000, 0])
def test_nearest_against_the_exact_search(uri: str, exact_up_to: int) -> None:
    store = open_store(uri, exact_up_to)
    given = rows(0, 300)
    assert given.vectors is not None
    fill(store, given)
    fill(store, rows(300, 20, seed=5), tidy=False)  # not in the index
    assert store.info().indexed == (300 if exact_up_to == 0 else 0)
    late = rows(300, 20, seed=5).vectors
    assert late is not None
    matrix = np.concatenate([given.vectors, late])
    ids = [*given.ids, *rows(300, 20).ids]
    query = unit(matrix[:1] + matrix[7:8])[0]
    for where, allowed in (
        (None, range(320)),
        ("year < 40 AND colour = 'Red'", [n for n in range(40) if n % 3 == 0]),
        ("colour IS NULL", range(2, 320, 3)),
        ("year > 1000", []),
    ):
        numbers = np.asarray(list(allowed), np.intp)
        for k in (7, 250):
            expected, scores = nearest(matrix, query, k, numbers)
            found = store.nearest(query, k, where)
            assert list(found.ids) == [ids[number] for number in expected]
            np.testing.assert_allclose(found.scores, scores, atol=1e-6)
            np.testing.assert_array_equal(found.vectors, matrix[expected])
    assert recall(store, 3) == 1


FILTERS: list[tuple[str, list[int]]] = [
    ("year >= 3 and year < 6", [3, 4, 5]),
    ("`price` = 1.5 OR 2 > year", [0, 1, 6]),
    ("NOT (colour = 'Red' OR year > 5)", [1, 4]),
    ("colour != 'Red'", [1, 4, 7, 10]),
    ("year in (2, 4, 400)", [2, 4]),
    ("price not in (0, 1.5) and price < 1.75", [1, 2, 3, 4, 5]),
    ("year not between 2 and 10", [0, 1, 11]),
    ("COLOUR like 'O''B%'", [1, 4, 7, 10]),
    ("colour not like 'O''B%'", [0, 3, 6, 9]),
    ("colour is not null and year <= 2", [0, 1]),
    ("id = 'shop''s/0003.jpg'", [3]),
    ("year > -5", list(range(12))),
]
BAD = [
    "(year = 1 -- a comment",
    "shape = 1",
    "year =",
    "year = 2012 nonsense",
    "'" * 3,
    "x" * 10_001,
    "(" * 4000,
]


def test_filters_mean_the_same_everywhere(uri: str) -> None:
    store = open_store(uri)
    fill(store, rows(0, 12))
    vector = rows(0, 1).vectors
    assert vector is not None
    for where, kept in FILTERS:
        found = store.nearest(vector[0], 50, where)
        assert (where, sorted(int(name[-8:-4]) for name in found.ids)) == (where, kept)
    for where in BAD:
        with pytest.raises(TMCIRError) as caught:
            store.nearest(vector[0], 5, where)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_gallery_from_first_to_last(uri: str, tmp_path: Path) -> None:
    photos = draw_photos(tmp_path / "photos")
    lines = "".join(f"{n:03},Colour {n % 2},{2000 + n}\n" for n in range(18))
    (tmp_path / "styles.csv").write_text("id,colour,year\n" + lines)
    model = FakeModel()
    gallery = Gallery.open(uri, model)
    report = gallery.add(photos, tmp_path / "styles.csv", chunk_size=7)
    assert (report.added, len(gallery)) == (20, 20)
    encoded = model.encoded
    report = gallery.add(photos, tmp_path / "styles.csv")
    assert (report.unchanged, report.described, model.encoded) == (20, 0, encoded)

    assert gallery.item("shoes/000.png").metadata == {"colour": "Colour 0", "year": 2000}
    assert gallery.values("colour") == [("Colour 0", 9), ("Colour 1", 9)]
    where = to_where([Condition("year", "in", [2001, 2002, 2003])], gallery.columns())
    hits = gallery.search(item="001.png", k=5, where=where)
    assert hits[0].id == "001.png" and len(hits) == 3
    assert hits[0].score == pytest.approx(1, abs=1e-6)
    query = Query(item="001.png", text="in red", more_like=("002.png",))
    vector = gallery.embed([query])[0]
    whole = [hit.id for hit in gallery.find(vector, 100)]
    pages = [gallery.find(vector, 6, offset=offset) for offset in range(0, 24, 6)]
    assert [hit.id for page in pages for hit in page] == whole and len(whole) == 20
    assert [hit.rank for page in pages for hit in page] == list(range(1, 21))

    Image.new("RGB", (16, 16), "red").save(photos / "001.png")
    (photos / "002.png").unlink()
    report = gallery.add(photos, prune=True)
    assert (report.updated, report.removed, len(gallery)) == (1, 1, 19)
    with pytest.raises(UnknownItemError, match=r"no photo '002\.png'"):
        gallery.thumbnail("002.png")
    assert gallery.thumbnail("001.png").startswith(b"\xff\xd8")
    assert gallery.export(tmp_path / "shop.parquet") == 19
    table: Any = pyarrow.parquet.read_table(tmp_path / "shop.parquet")
    exported = {row["id"]: row for row in table.to_pylist()}
    assert exported["004.png"]["year"] == 2004 and exported["019.png"]["colour"] is None
    np.testing.assert_allclose(
        exported["004.png"]["vector"], FakeModel().encode_images([photos / "004.png"])[0], atol=1e-6
    )
    assert gallery.remove(["004.png", "nothing"]) == 1
    assert "004.png" not in {hit.id for hit in gallery.search(text="x", k=50)}
    with pytest.raises(TMCIRError, match="was indexed with the model"):
        Gallery.open(uri, FakeModel(identity="another"))


def test_words_are_searched_or_rejected_in_one_line(uri: str) -> None:
    store = open_store(uri)
    fill(store, rows(0, 30))
    if not store.has_words:
        with pytest.raises(TMCIRError, match="search without them"):
            store.match("red", ["colour"], 5)
        return
    red = [f"shop's/{number:04}.jpg" for number in range(0, 30, 3)]
    assert store.match("RED!", ["colour"], 20) == red
    assert len(store.match("red", ["colour"], 4)) == 4
    assert store.match("red", ["colour"], 20, "year < 9") == red[:3]
    assert store.match("green", ["colour"], 20) == []
    with pytest.raises(TMCIRError, match="cannot be used"):
        store.match("red", ["colour"], 20, "yaer < 9")


def test_a_sample_is_bounded_and_stable(uri: str) -> None:
    store = open_store(uri)
    fill(store, rows(0, 30))
    assert store.sample(100).shape == (30, SIZE)
    assert store.sample(8).shape == (8, SIZE)
    assert np.array_equal(store.sample(8), store.sample(8))
