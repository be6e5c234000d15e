from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet
import pytest

from tests.commands import run
from tests.gallery.fake import WORDS, FakeModel, draw_photos
from tmcir.gallery import Gallery
from tmcir.gallery.relevance import WEAK


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with photos, a CSV, a folder that stands for a model, and a gallery."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "tmcir.gallery.model.load", lambda source, runtime: FakeModel(identity=Path(source).name)
    )
    draw_photos(tmp_path / "photos")
    (tmp_path / "photos" / "bad\n.jpg").write_bytes(b"no image")
    rows = "".join(f"{number:03},Colour {number % 2},{2000 + number}\n" for number in range(20))
    (tmp_path / "styles.csv").write_text("id,colour,year\n" + rows + "77,x,1\n")
    (tmp_path / "model").mkdir()
    run("index", "shop", "photos", "--metadata", "styles.csv", "--model", "model")
    return tmp_path


def test_index_reports(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    (shop / "photos" / "001.png").unlink()
    draw_photos(shop / "photos", seed=1)
    assert run("index", "shop", "photos", "--metadata", "styles.csv") == 0
    out, err = capsys.readouterr()
    assert out.startswith("shop: 20 photos (0 added, 20 updated, 0 unchanged, 1 skipped) in ")
    assert out.endswith(" images/s\n")
    assert "skipped bad\\n.jpg: not an image (JPEG" in err
    assert "metadata: 20 of 21 photos described by 20 of 21 rows, joined on column 'id'" in err
    assert "1 row names no photo here: '77'" in err


def test_search_prints_ranks(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmcir.gallery.relevance.OFFSET", 20.0)  # nothing is close
    capsys.readouterr()
    assert run("search", "shop", "--image", "photos/001.png", "-k", "3") == 0
    out, err = capsys.readouterr()
    (best,) = Gallery.open(shop / "shop", FakeModel("model")).search("photos/001.png", k=1)
    assert out.splitlines()[0] == f"   1  {best.relevance:.3f}  001.png  Colour 1  2001"
    assert len(out.splitlines()) == 3 and best.score > 0.9999
    assert best.relevance < WEAK
    assert err == f"nothing is close to this: relevance is below {WEAK:g}\n"


def test_search_says_where_results_become_weak(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmcir.gallery.relevance.OFFSET", 0.0)
    hits = Gallery.open(shop / "shop", FakeModel("model")).search("photos/001.png", k=20)
    weak = [hit.rank for hit in hits if hit.relevance < WEAK]
    capsys.readouterr()
    assert run("search", "shop", "--image", "photos/001.png") == 0
    assert capsys.readouterr().err == f"nothing closer than this from rank {weak[0]} on\n"


def test_search_ends_at_a_relevance(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hits = Gallery.open(shop / "shop", FakeModel("model")).search(text="red", k=3)
    limit = (hits[1].relevance + hits[2].relevance) / 2
    capsys.readouterr()
    assert run("search", "shop", "--text", "red", "--min-relevance", f"{limit:.9f}") == 0
    out, err = capsys.readouterr()
    assert [line.split()[2] for line in out.splitlines()] == [hit.id for hit in hits[:2]]
    assert err == f"no other photo fits with a relevance of {limit:g} or more\n"
    assert run("search", "shop", "--text", "red", "--min-relevance", "1") == 0
    assert capsys.readouterr() == ("", "no photo fits with a relevance of 1 or more\n")
    assert run("search", "shop", "--text", "red", "--min-relevance", "2") == 2
    assert "min_relevance must lie between 0 and 1, not 2" in capsys.readouterr().err


def test_search_shows_a_group_once(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("search", "shop", "--text", "x", "--group", "colour", "--json") == 0
    hits = json.loads(capsys.readouterr().out)
    assert sorted(hit["metadata"]["colour"] for hit in hits) == ["Colour 0", "Colour 1"]
    assert {len(hit["grouped"]) for hit in hits} == {9}
    assert run("search", "shop", "--text", "x", "--group", "color") == 2
    assert "did you mean 'colour'?" in capsys.readouterr().err
    assert run("search", "shop", "--text", "x", "--group", "colour") == 0
    assert "  (10 photos of it)  Colour " in capsys.readouterr().out


def test_search_with_several_images(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = [f"photos/{name}.png" for name in ("001", "002", "004")]
    options = [part for image in images for part in ("--image", image)]
    capsys.readouterr()
    assert run("search", "shop", *options, "--text", "in red", "-k", "5", "--json") == 0
    found = [hit["id"] for hit in json.loads(capsys.readouterr().out)]
    terms = [(Path(image), 1.0) for image in images[1:]]
    opened = Gallery.open(shop / "shop", FakeModel("model"))
    assert found == [hit.id for hit in opened.search(images[0], "in red", terms=terms, k=5)]


def test_search_json_is_all_there_is_on_stdout(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    arguments = ["--text", "in red", "--where", "year < 2002", "--json", "--html", "a.html"]
    assert run("search", "shop", "--image", "photos/002.png", *arguments) == 0
    hits = json.loads(capsys.readouterr().out)
    assert [hit["rank"] for hit in hits] == [1, 2]
    assert {hit["id"] for hit in hits} == {"shoes/000.png", "001.png"}
    assert list(hits[0])[:4] == ["rank", "id", "score", "relevance"]
    assert list(hits[0])[4:] == ["metadata", "duplicates", "grouped", "path"]
    assert Path(hits[0]["path"]).is_file() and set(hits[0]["metadata"]) == {"colour", "year"}
    assert "in red" in (shop / "a.html").read_text()


def test_search_from_a_photo_of_the_gallery(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    arguments = ["--item", "001.png", "--more-like", "002.png", "--less-like", "004.png"]
    assert run("search", "shop", *arguments, "-k", "3", "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole[0]["id"] == "001.png"
    assert run("search", "shop", *arguments, "--offset", "1", "-k", "2", "--html", "a.html") == 0
    out = capsys.readouterr().out
    assert [line.split()[:3:2] for line in out.splitlines()] == [
        [str(hit["rank"]), hit["id"]] for hit in whole[1:]
    ]
    assert "more like 002.png" in (shop / "a.html").read_text()


def test_search_with_terms(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    rest = ["--term", "a: b:2", "--term", "red", "--not", "buttons", "-k", "3", "--json"]
    assert run("search", "shop", "--text", "x", *rest) == 0
    found = [hit["id"] for hit in json.loads(capsys.readouterr().out)]
    terms = [("a: b", 2.0), ("red", 1.0), ("buttons", -0.5)]
    opened = Gallery.open("shop", FakeModel(identity="model"))
    assert found == [hit.id for hit in opened.search(text="x", terms=terms, k=3)]
    assert run("search", "shop", "--term", "a:b") == 2
    assert "--term a:b: write TEXT:WEIGHT" in capsys.readouterr().err


def test_the_end_that_is_not_read_is_named(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = " ".join(["red"] * WORDS)
    assert run("search", "shop", "--text", long, "-k", "1") == 0
    assert "not read" not in capsys.readouterr().err
    text = f"{long} pockets, but in\tblue"
    assert run("search", "shop", "--text", text, "-k", "1", "--json") == 0
    out, err = capsys.readouterr()
    assert 'not read: "pockets, but in blue"' in err and len(json.loads(out)) == 1


def test_search_folds_duplicates(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "photos" / "copy.png").write_bytes((shop / "photos" / "001.png").read_bytes())
    run("index", "shop", "photos")
    capsys.readouterr()
    assert run("search", "shop", "--item", "001.png", "-k", "2", "--deduplicate") == 0
    assert "001.png (+1 like it)" in capsys.readouterr().out.replace("  (", " (")


def test_gallery_info_remove_export_and_prune(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run("gallery", "info", "shop") == 0
    out = capsys.readouterr().out
    assert "photos    20, 0.0 MiB" in out
    assert "search    exact, up to 200,000 photos, recall@50 1.000" in out
    assert "columns   colour (text), year (integer)" in out and "'fake' (model, 48 dim" in out
    assert run("gallery", "info", "shop", "--json", "--exact-up-to", "5") == 0
    info = json.loads(capsys.readouterr().out)
    assert (info["photos"], info["exact_up_to"], info["recall"]) == (20, 5, 1.0)
    assert run("gallery", "remove", "shop", "001.png", "none") == 1
    assert capsys.readouterr().out == "shop: 1 of 2 removed, 19 photos left\n"
    assert run("gallery", "export", "shop", "new/shop.parquet") == 0
    assert capsys.readouterr().out == "new/shop.parquet: 19 photos\n"
    assert pyarrow.parquet.read_table(shop / "new" / "shop.parquet").num_rows == 19
    (shop / "photos" / "002.png").unlink()
    assert run("index", "shop", "photos", "--prune") == 0
    assert "(0 added, 0 updated, 18 unchanged, 1 removed, 1 skipped)" in capsys.readouterr().out
    assert run("gallery", "restore", "shop", "001.png", "none") == 0
    assert "shop: 1 restored; run `tmcir index`" in capsys.readouterr().out
    assert run("index", "shop", "photos") == 0
    assert "(1 added, 0 updated, 18 unchanged, 1 skipped)" in capsys.readouterr().out


def test_a_moved_model_is_named_again(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "elsewhere").mkdir()
    (shop / "elsewhere" / "model").mkdir()
    assert run("search", "shop", "--text", "x", "--model", "elsewhere/model") == 0
    assert run("search", "shop", "--text", "x", "--model", "another") == 2
    assert "was indexed with the model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["search", "none", "--text", "x"], "none: there is no gallery; make one with"),
        (["search", "photos", "--text", "x"], "photos: holds other files and is not a gallery"),
        (["search", "shop"], "an empty query"),
        (["search", "shop", "--text", "  "], "an empty query"),
        (["search", "shop", "--text", "x", "-k", "0"], "must be at least 1"),
        (["search", "shop", "--text", "x", "--balance", "2"], "balance must lie between"),
        (["search", "shop", "--text", "x", "--where", "shape = 1"], "No field named shape"),
        (["search", "shop", "--image", "none.jpg"], "none.jpg: no such file"),
        (["search", "shop", "--image", "styles.csv"], "styles.csv: not an image"),
        (["search", "shop", "--text", "x", "--html", "photos"], "photos: cannot be written"),
        (["index", "new", "photos"], "pass it with --model"),
        (["index", "new", "none", "--model", "model"], "none: no such folder"),
        (["index", "shop", "photos", "--metadata", "none.csv"], "none.csv: no such file"),
        (
            ["index", "shop", "photos", "--metadata", "styles.csv", "--metadata-key", "yeer"],
            "did you mean 'year'?",
        ),
        (["search", "shop", "-k", "many"], "valid integer"),
        (["search", "shop", "--item", "none.png"], "no photo 'none.png' in this gallery"),
        (["search", "shop", "--text", "x", "--more-like", "a"], "no photo 'a'"),
        (["search", "shop", "--less-like", "001.png"], "something to start from"),
        (["search", "shop", "--text", "x", "--offset", "-1"], "must not be negative"),
        (["search", "shop", "--item", "001.png", "--image", "a.png"], "not both"),
        (["search", "shop", "--text", "x", "--exact-up-to", "-1"], "greater than or equal to 0"),
        (["gallery", "info", "none"], "none: there is no gallery"),
        (["gallery", "remove", "shop"], "Missing argument"),
        (["gallery", "export", "shop", "photos"], "photos: cannot be written"),
        (["gallery", "info", "milvus://nowhere/"], "write milvus://host:port/collection"),
        (["gallery", "info", "milvus://a:b@nowhere:1/c"], "TMCIR_MILVUS_TOKEN"),
        (["gallery", "info", "milvus://nowhere/shop?consistensy=x"], "did you mean 'consistency'"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    shop: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    capsys.readouterr()
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert problem in err and out == "" and "Traceback" not in err


@pytest.mark.parametrize(
    "command", ["index", "search", "gallery info", "gallery remove", "gallery export"]
)
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*command.split(), "--help") == 0
    assert f"tmcir {command} shop" in capsys.readouterr().out
