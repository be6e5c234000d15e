"""Queries that start from photos of the gallery, from examples, and many at once."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.gallery.fake import FakeModel, draw_photos
from tmcir.core.errors import TMCIRError, UnknownItemError
from tmcir.core.images import jpeg_thumbnail
from tmcir.gallery import Gallery, Query, Term, duplicates
from tmcir.gallery.duplicates import deduplicate
from tmcir.gallery.photos import thumbnail_side
from tmcir.gallery.stores.base import Neighbours, unit


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return draw_photos(tmp_path / "photos")


@pytest.fixture
def gallery(tmp_path: Path, photos: Path) -> Gallery:
    opened = Gallery.open(tmp_path / "shop", FakeModel())
    opened.add(photos)
    return opened


def test_an_item_is_the_same_reference_as_its_file(gallery: Gallery, photos: Path) -> None:
    from_item, from_file = gallery.embed(
        [
            Query(item="001.png", text="in red", balance=0.25),
            Query(photos / "001.png", text="in red", balance=0.25),
        ]
    )
    np.testing.assert_array_equal(from_item, from_file)


@pytest.mark.parametrize("fate", ["gone", "changed", "broken"])
def test_the_thumbnail_stands_in_for_the_file(gallery: Gallery, photos: Path, fate: str) -> None:
    query = Query(item="001.png", text="in red")
    before = gallery.embed([query])[0]
    if fate == "gone":
        (photos / "001.png").unlink()
    elif fate == "changed":
        Image.new("RGB", (16, 16), "red").save(photos / "001.png")
    else:
        (photos / "001.png").write_bytes(b"broken")
    after = gallery.embed([query])[0]
    assert float(before @ after) > 0.999
    assert not np.array_equal(before, after)  # a JPEG
    assert gallery.explain(query).words == ["in", "red"]


def test_many_queries_are_one_call_a_kind(
    gallery: Gallery, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = [
        Query(photos / "001.png"),
        Query(text="in red"),
        Query(item="002.png"),
        Query(item="002.png", text="in blue", balance=-0.5),
        Query(more_like=("004.png",)),
        Query(photos / "005.png", text="in green", less_like=("007.png",)),
        Query(photos / "005.png", text="  "),
        Query(text="in blue"),
    ]
    alone = np.stack([gallery.embed([query])[0] for query in queries])
    calls: list[tuple[str, int]] = []
    for name in ("encode_images", "encode_texts", "compose"):
        original = getattr(FakeModel, name)

        def counted(
            self: Any, given: Any, *rest: Any, name: str = name, call: Any = original
        ) -> Any:
            calls.append((name, len(given)))
            return call(self, given, *rest)

        monkeypatch.setattr(FakeModel, name, counted)
    together = gallery.embed(queries)
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert calls[0] == ("compose", 2)  # which in the fake calls both towers
    assert calls[3:] == [("encode_images", 2), ("encode_texts", 2)]
    assert gallery.embed([]).shape == (0, 48)


def test_terms_by_hand(gallery: Gallery, photos: Path) -> None:
    model = FakeModel()
    base, belt = model.encode_texts(["a dress", "a belt"]).numpy().astype(np.float64)
    image = model.encode_images([photos / "002.png"]).numpy()[0].astype(np.float64)
    stored = gallery.embed([Query(item="001.png")])[0].astype(np.float64)
    terms = (
        Term(-0.5, text=" a belt "),
        Term(0.25, image=photos / "002.png"),
        Term(2, item="001.png"),
    )
    expected = base - 0.5 * belt + 0.25 * image + 2 * stored
    queries = [Query(text="a dress", terms=terms), Query(text="a belt"), Query(terms=terms[1:2])]
    moved, other, alone = gallery.embed(queries)
    np.testing.assert_allclose(moved, expected / np.linalg.norm(expected), atol=1e-6)
    np.testing.assert_allclose(other, belt, atol=1e-6)
    np.testing.assert_allclose(alone, image, atol=1e-6)
    pairs = [("a belt", -0.5), (photos / "002.png", 0.25), terms[2]]
    hits = gallery.search(text="a dress", terms=pairs, k=20)
    assert hits == gallery.find(moved, 20)
    with pytest.raises(TMCIRError, match="cancel each other out"):
        gallery.search(text="a belt", terms=[("a belt", -1.0)])


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ([("a", -1.0)], "terms with negative weights need something to start from"),
        ([("a", 0)], "must lie between -10 and 10 and not be 0, but is 0"),
        ([("a", float("nan"))], "but is nan"),
        ([("a", 11)], "but is 11"),
        ([("a", "1")], "but is 1"),
        ([(" ", 1)], "a term without a text"),
        ([("a" * 2001, 1)], "2,001 characters"),
        ([("a", 1)] * 17, "17 terms; at most 16"),
        ([Term(1)], "a text, an image or an item"),
        ([Term(1, "a", item="b")], "a text, an image or an item"),
        (["green shirt"], "a term is a pair such as"),
        ([Term(1, item="none.png")], r"no photo 'none\.png'"),
    ],
)
def test_bad_terms(gallery: Gallery, terms: list[Any], reason: str) -> None:
    with pytest.raises(TMCIRError, match=reason):
        gallery.search(terms=terms)


def test_examples_by_hand(gallery: Gallery) -> None:
    stored = gallery.embed([Query(item=name) for name in ("001.png", "002.png", "004.png")])
    first, second, third = stored.astype(np.float64)
    moved = first + 0.75 * (second + third) / 2 - 0.25 * second
    query = Query(item="001.png", more_like=("002.png", "004.png"), less_like=("002.png",))
    np.testing.assert_allclose(gallery.embed([query])[0], moved / np.linalg.norm(moved), atol=1e-6)
    alone = gallery.embed([Query(more_like=("001.png",))])[0]
    np.testing.assert_allclose(alone, first, atol=1e-6)
    hits = gallery.search(more_like=["001.png"], k=1)
    assert hits[0].id == "001.png"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"item": "none.png"}, "no photo 'none.png' in this gallery"),
        ({"item": "none.png", "text": "x"}, "no photo 'none.png'"),
        ({"item": "\udcff'\0"}, "no photo"),
        ({"text": "x", "less_like": ["\n"]}, r"no photo '\\n' in"),
        ({"text": "x", "more_like": ["../photos/001.png"]}, "no photo"),
        ({"image": "a.png", "item": "001.png"}, "not both"),
        ({"less_like": ["001.png"]}, "needs something to start from"),
        ({"text": "x", "more_like": "001.png"}, "take lists, not one text"),
        ({"text": "x", "more_like": ["001.png"] * 33}, "at most 32"),
        ({"text": "x", "offset": -1}, "offset, the results to skip, must not be negative"),
    ],
)
def test_bad_queries(gallery: Gallery, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(TMCIRError, match=reason) as caught:
        gallery.search(**arguments)
    assert isinstance(caught.value, UnknownItemError) == ("no photo" in reason)


@pytest.mark.parametrize("vector", [np.ones(3), np.full(48, np.nan), np.ones((1, 48))])
def test_find_takes_one_finite_vector(gallery: Gallery, vector: Any) -> None:
    with pytest.raises(TMCIRError, match="one finite vector of 48 numbers"):
        gallery.find(vector, 5)


@pytest.mark.parametrize("exact_up_to", [1000, 0])
def test_pages_join_without_gap_or_overlap(tmp_path: Path, exact_up_to: int) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(40):  # five colours, so that most scores are ties
        colour = ("teal", "red", "navy", "pink", "gold")[number % 5]
        Image.new("RGB", (16, 16), colour).save(tmp_path / "photos" / f"{number:02}.bmp")
    gallery = Gallery.open(tmp_path / "shop", FakeModel(), exact_up_to=exact_up_to)
    gallery.add(tmp_path / "photos")
    whole = gallery.search(text="x", k=100)
    assert len(whole) == 40
    pages = [gallery.search(text="x", k=7, offset=offset) for offset in range(0, 42, 7)]
    assert [hit for page in pages for hit in page] == whole
    merged = gallery.search(text="x", k=100, deduplicate=True)
    assert [hit.rank for hit in merged] == [1, 2, 3, 4, 5]
    assert all(len(hit.duplicates) == 7 for hit in merged)
    assert merged[0].duplicates == tuple(hit.id for hit in whole[1:8])
    two = [gallery.search(text="x", k=2, offset=at, deduplicate=True) for at in (0, 2, 4, 6)]
    assert [hit.id for page in two for hit in page] == [hit.id for hit in merged]


def test_deduplication_by_hand() -> None:
    degrees = np.radians([0, 5, 12, 90, 13, 1])  # cos 5 = 0.996, cos 12 = 0.978, cos 13 = 0.974
    vectors = np.stack([np.cos(degrees), np.sin(degrees)], axis=1).astype(np.float32)
    ranked = Neighbours(list("abcdef"), np.linspace(1, 0, 6), vectors)
    rows: dict[str, dict[str, Any]] = {name: {"content_hash": name} for name in "abcdef"}
    rows["d"]["content_hash"] = "a"  # equal bytes, whatever the vectors say
    stripes = Image.fromarray(np.tile(np.asarray([0, 255], np.uint8).repeat(8), (16, 1)))
    upright, across = (
        jpeg_thumbnail(image.convert("RGB").resize((64, 64)), 64)
        for image in (stripes, stripes.rotate(90))
    )
    files = dict.fromkeys("abce", upright)
    asked: list[str] = []

    def thumbnails(ids: Sequence[str]) -> dict[str, bytes]:
        asked.extend(ids)
        return {name: files[name] for name in ids if name in files}

    # c is 7 degrees from b, but b is not kept; e is 1 degree from c; f has no thumbnail
    assert deduplicate(ranked, rows, thumbnails) == {0: [1, 3], 2: [4], 5: []}
    assert sorted(asked) == ["a", "b", "c", "e", "f"]  # d is near none
    files["b"] = across  # shows something else, 5 degrees from a and 7 from c
    assert deduplicate(ranked, rows, thumbnails) == {0: [3], 1: [], 2: [4], 5: []}
    assert deduplicate(Neighbours([], np.empty(0), vectors[:0]), {}, thumbnails) == {}


def test_deduplicating_many_hits_equals_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_BLOCK", 7)
    random = np.random.default_rng(0)
    vectors = unit(random.normal(size=(12, 4)))[random.integers(0, 12, 60)]
    vectors = unit(vectors + random.normal(size=vectors.shape, scale=0.05))
    pictures = [
        jpeg_thumbnail(Image.fromarray(random.integers(0, 255, (8, 8, 3), np.uint8)), 64)
        for _ in range(3)
    ]
    ids = [f"{number:02}" for number in range(60)]
    files = {name: pictures[random.integers(3)] for name in ids}
    rows: dict[str, dict[str, Any]] = {
        name: {"content_hash": str(random.integers(40))} for name in ids
    }
    kept: dict[int, list[int]] = {}
    for place in range(60):
        same = [
            other
            for other in kept
            if rows[ids[other]] == rows[ids[place]]
            or (vectors[other] @ vectors[place] >= 0.98 and files[ids[other]] == files[ids[place]])
        ]
        equal = [other for other in same if rows[ids[other]] == rows[ids[place]]]
        if same:
            kept[(equal or same)[0]].append(place)
        else:
            kept[place] = []
    ranked = Neighbours(ids, np.linspace(1, 0, 60), vectors)
    merged = deduplicate(ranked, rows, lambda asked: {name: files[name] for name in asked})
    assert merged == kept and 20 < len(kept) < 55


def test_a_recompressed_copy_is_a_duplicate_and_another_photo_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    blocks = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    photo = Image.fromarray(blocks).resize((200, 200))
    photo.save(folder / "a.png")
    photo.resize((120, 120)).save(folder / "b.jpg", quality=50)
    photo.rotate(90).save(folder / "c.png")
    model = FakeModel()
    model.encode_images = lambda images: torch.eye(48)[:1].repeat(len(images), 1)  # type: ignore[method-assign]
    gallery = Gallery.open(tmp_path / "shop", model)
    gallery.add(folder)
    hits = gallery.search(item="a.png", deduplicate=True)
    assert [(hit.id, hit.duplicates) for hit in hits] == [("a.png", ("b.jpg",)), ("c.png", ())]


def test_thumbnails_are_bounded_jpegs(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photos" / "noise.png")
    Image.new("RGBA", (40, 30), (255, 0, 0, 0)).save(tmp_path / "photos" / "small.png")
    model = FakeModel()
    model.image_size = 224
    gallery = Gallery.open(tmp_path / "shop", model)
    gallery.add(tmp_path / "photos")
    noisy = gallery.thumbnail("noise.png")
    small = Image.open(io.BytesIO(gallery.thumbnail("small.png")))
    assert len(noisy) <= 48_000 and max(Image.open(io.BytesIO(noisy)).size) <= 299
    assert small.format == "JPEG" and small.size == (40, 30)
    assert [thumbnail_side(size) for size in (16, 224, 336)] == [256, 299, 384]


def test_half_precision(tmp_path: Path, photos: Path, gallery: Gallery) -> None:
    half = Gallery.open(tmp_path / "half", FakeModel(), precision="float16")
    half.add(photos)
    assert (half.info().store.precision, gallery.info().store.precision) == ("float16", "float32")
    exact = {hit.id: hit.score for hit in gallery.search(text="x", k=20)}
    for hit in half.search(text="x", k=20):
        assert hit.score == pytest.approx(exact[hit.id], abs=1e-3)
    assert half.search(item="001.png", k=1)[0].score == pytest.approx(1, abs=1e-6)
    assert Gallery.open(tmp_path / "half", FakeModel()).info().store.precision == "float16"


def test_threads_search_while_another_process_would_write(gallery: Gallery, photos: Path) -> None:
    expected = [hit.id for hit in gallery.search(text="x", k=20)]
    failures: list[BaseException] = []

    def search() -> None:
        try:
            for _ in range(5):
                assert [hit.id for hit in gallery.search(text="x", k=20)] == expected
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
