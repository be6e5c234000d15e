from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.gallery.fake import FakeModel, draw_photos
from tmcir.core.errors import TMCIRError
from tmcir.gallery import Gallery, Hit, Query, Words
from tmcir.gallery.ranking import by_vector
from tmcir.gallery.words import CONSTANT, MAXIMUM_WORD_COLUMNS, Matched, fused

TITLES = {
    3: "Red wool jumper with buttons",
    5: "Jumpers, two of them",
    7: "A very long description of a jumper that says a great deal about everything else",
    9: 'O\'Neill "Surf" shorts',
}
NUMBERS = {4: 70012345, 6: 9_007_199_254_740_993}


def make_shop(folder: Path, exact_up_to: int = 200_000) -> Gallery:
    """Index 20 photos with titles, brands and article numbers."""
    draw_photos(folder / "photos")
    rows = [
        f'{n:03},"{TITLES.get(n, f"Thing {n}").replace(chr(34), chr(34) * 2)}",'
        f"Brand{n % 4},{NUMBERS.get(n, n + 100)},{n}.5"
        for n in range(20)
    ]
    (folder / "table.csv").write_text("\n".join(["id,title,brand,article,price", *rows]) + "\n")
    gallery = Gallery.open(folder / "shop", FakeModel(), exact_up_to=exact_up_to)
    gallery.add(folder / "photos", folder / "table.csv")
    return gallery


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return make_shop(tmp_path_factory.mktemp("words"))


def ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.id for hit in hits]


def test_ranks_are_fused_by_hand(shop: Gallery) -> None:
    vector = shop.embed([Query(text="x")])[0]
    near = shop.find(vector, 20)
    ranking = by_vector(shop._store, vector, None)
    matched = [near[9].id, near[1].id]  # ranks 10 and 2 by vector
    found = fused(shop._store, ranking, vector, Matched([], matched))(20)
    scores = [1 / (CONSTANT + rank) for rank in range(1, 21)]
    scores[9] += 1 / (CONSTANT + 1)
    scores[1] += 1 / (CONSTANT + 2)
    order = sorted(range(20), key=lambda place: (-scores[place], near[place].id))
    assert order[:3] == [1, 9, 0]
    assert list(found.ids) == [near[place].id for place in order]
    assert found.scores.tolist() == [near[place].score for place in order]
    assert np.allclose(found.vectors @ vector, found.scores, atol=1e-6)
    short = fused(shop._store, ranking, vector, Matched([], matched))(4)
    assert short.ids == found.ids[:4]  # pages do not overlap


def test_photos_with_words_of_the_query_come_first(shop: Gallery) -> None:
    plain = shop.search(text="a red jumper", k=20)
    hits = shop.search(text="a red jumper", k=20, words=["title"])
    assert set(ids(hits)) == set(ids(plain)) and ids(hits) != ids(plain)
    assert set(ids(hits[:3])) == {"shoes/003.png", "005.png", "007.png"}  # stems, any order
    assert ids(hits)[0] in ("shoes/003.png", ids(plain)[0])
    assert {hit.id: hit.relevance for hit in hits} == {hit.id: hit.relevance for hit in plain}


@pytest.mark.parametrize(
    ("text", "columns", "first"),
    [
        ("70012345", ["article"], "004.png"),
        ("article 9007199254740993, please", ["title", "article"], "shoes/006.png"),
        ("006", ["id"], "shoes/006.png"),
        ("Shoes/006.PNG", ["id"], "shoes/006.png"),
        ("something like Brand3 70012345", ["brand", "article"], "shoes/003.png"),
        ("a (006)", ["id", "title"], "shoes/006.png"),
    ],
)
def test_an_article_number_finds_the_article(
    shop: Gallery, text: str, columns: list[str], first: str
) -> None:
    hits = shop.search(text=text, k=20, words=columns)
    if "Brand3" in text:  # both name photos: five of the brand, one of the number
        assert set(ids(hits[:6])) == {f"{n:03}.png" for n in (7, 11, 19, 4)} | {
            "shoes/003.png",
            "shoes/015.png",
        }
    else:
        assert ids(hits)[0] == first
    assert set(ids(hits)) == set(ids(shop.search(text=text, k=20)))


@pytest.mark.parametrize("text", ["o'neill surf", 'what "surf" (and) NOT ^*~ OR', "SURF -- % _"])
def test_any_text_is_searched_for_its_words(shop: Gallery, text: str) -> None:
    hits = shop.search(text=text, k=20, words=["title", "id"], min_relevance=1)
    assert "shoes/009.png" in ids(hits)


def test_words_are_found_below_any_relevance_and_behind_filters(shop: Gallery) -> None:
    hits = shop.search(text="jumper", k=20, words=["title"], min_relevance=1)
    assert set(ids(hits)) == {"shoes/003.png", "005.png", "007.png"}
    hits = shop.search(text="jumper", k=20, words=["title"], min_relevance=1, where="id LIKE 's%'")
    assert ids(hits) == ["shoes/003.png"]
    number = {"text": "70012345", "words": ["article"], "min_relevance": 1, "k": 20}
    assert ids(shop.search(**number)) == ["004.png"]
    assert shop.search(**number, where="id != '004.png'") == []


def test_pages_groups_and_duplicates_work_with_words(shop: Gallery) -> None:
    whole = shop.search(text="jumper", k=20, words=["title"])
    pages = [shop.search(text="jumper", k=6, offset=at, words=["title"]) for at in (0, 6, 12, 18)]
    assert [hit for page in pages for hit in page] == whole
    groups = shop.search(text="jumper", k=20, words=["title"], group="brand")
    assert len(groups) == 4 and groups[0].id == whole[0].id


def test_nothing_changes_without_a_text_or_a_match(shop: Gallery) -> None:
    image = {"item": "001.png", "k": 20}
    plain = shop.search(**image)
    assert shop.search(**image, words=["title"]) == plain
    assert shop.search(text="qqq ...", k=20, words=["title"]) == shop.search(text="qqq ...", k=20)


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (["titel"], "did you mean 'title'"),
        (["price"], "column 'price' holds numbers with fractions, and no words"),
        (["title"] * (MAXIMUM_WORD_COLUMNS + 1), "at most 16 columns"),
    ],
)
def test_columns_that_hold_no_words_are_errors(
    shop: Gallery, columns: list[str], problem: str
) -> None:
    with pytest.raises(TMCIRError, match=problem):
        shop.search(text="x", words=columns)
    with pytest.raises(TMCIRError, match="words take lists"):
        shop.search(text="x", words="title")


def test_new_titles_are_found_and_old_ones_are_not(tmp_path: Path) -> None:
    gallery = make_shop(tmp_path)
    found = {"text": "surfboard", "words": ["title"], "min_relevance": 1}
    assert gallery.search(**found) == []
    table = tmp_path / "table.csv"
    table.write_text(table.read_text().replace("Thing 11", "Surfboard"))
    Gallery.open(tmp_path / "shop", FakeModel()).add(tmp_path / "photos", table)
    assert ids(gallery.search(**found)) == ["011.png"]
    gallery.remove(["011.png"])
    assert gallery.search(**found) == []


def test_a_gallery_with_an_index_of_vectors_has_words_too(tmp_path: Path) -> None:
    gallery = make_shop(tmp_path, exact_up_to=0)
    assert ids(gallery.search(text="jumper", k=20, words=["title"], min_relevance=1)) == ids(
        gallery.find(
            gallery.embed([Query(text="jumper")])[0],
            20,
            words=Words("jumper", ["title"]),
            min_relevance=1,
        )
    )
    assert len(gallery.search(text="jumper", k=5, words=["title", "id"])) == 5
