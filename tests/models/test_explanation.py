"""Overlays from an explanation by hand, and the page and the command that show one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.commands import Mistake, run
from tests.gallery.test_page import read
from tmcir.models import TMCIR, Explanation
from tmcir.models.explanation import (
    explanation_lines,
    explanation_overlays,
    merged_overlay,
    render_explanation,
    word_colour,
)

HOSTILE = "<script>alert('x')</script>\"&"
# A picture of 2 x 2 patches; "red" took over the upper two, the left one twice as heavily.
EXPLANATION = Explanation(
    gate=(0.5, 1.5),
    words=["in", "red"],
    grid=(2, 2),
    matched_share=0.5,
    merged=[[], [(0, 0, 2 / 3), (0, 1, 1 / 3)]],
    image_share=[0.0, 0.25],
    threshold=0.125,
)


def picture(width: int = 40, height: int = 40) -> Image.Image:
    return Image.new("RGB", (width, height), (100, 100, 100))


def test_a_word_s_patches_are_tinted_by_their_weights_and_the_rest_is_faded() -> None:
    (overlay,) = explanation_overlays(EXPLANATION, picture(), side=40)
    assert (overlay.word, overlay.patches, overlay.image_share) == ("red", 2, 0.25)
    assert overlay.colour == word_colour(1) == "#0072b2"
    seen = np.asarray(overlay.picture)
    assert seen.shape == (40, 40, 3)
    # Faded: 100 goes 72% of the way to 255. Tinted: 42% of the way to the colour for the heaviest
    # patch, and two thirds of that for one with half of its weight.
    assert seen[30, 10].tolist() == seen[30, 30].tolist() == [212, 212, 212]
    colour = np.array([0x00, 0x72, 0xB2])
    for column, strength in ((10, 1), (30, 2 / 3)):
        expected = 100 + 0.42 * strength * (colour - 100)
        assert np.abs(seen[10, column] - expected).max() <= 1
    # An outline around both and none between them.
    assert seen[0, 10].tolist() == seen[19, 30].tolist() == colour.tolist()
    assert seen[10, 20].tolist() != colour.tolist()


def test_an_overlay_says_the_same_in_words() -> None:
    (overlay,) = explanation_overlays(EXPLANATION, picture())
    assert overlay.description == (
        "red: took over 2 of 4 patches, mostly upper centre; 25% of the merged word is image"
    )
    assert overlay.uri.startswith("data:image/webp;base64,")


def test_the_square_is_the_one_that_the_model_sees() -> None:
    # Of a wide picture the centre, or all of it on white.
    wide = picture(80, 40)
    wide.paste((0, 0, 0), (0, 0, 20, 40))
    cropped, padded = (
        np.asarray(merged_overlay(replace(EXPLANATION, fit=fit), wide, side=40))
        for fit in ("crop", "pad")
    )
    assert cropped[30, 2].tolist() == [212, 212, 212]
    assert padded[35, 2].tolist() == [255, 255, 255]


def test_words_of_one_text_have_colours_of_their_own() -> None:
    explanation = replace(
        EXPLANATION, merged=[[(1, 1, 1.0)], [(0, 0, 1.0)]], image_share=[0.5, 0.5]
    )
    first, second = explanation_overlays(explanation, picture())
    assert first.colour != second.colour
    assert "lower right" in first.description and "upper left" in second.description
    together = np.asarray(merged_overlay(explanation, picture(), side=40))
    assert (together[:20, :20] != 212).any() and (together[22:38, 2:18] == 212).all()


@pytest.mark.parametrize(
    "explanation", [replace(EXPLANATION, merged=[[], []]), Explanation(None, ["x"], (2, 2))]
)
def test_without_merged_patches_there_are_no_overlays(explanation: Explanation) -> None:
    assert explanation_overlays(explanation, picture()) == []
    assert merged_overlay(explanation, picture()) is None
    page = render_explanation(explanation, picture(), "in red")
    assert len(read(page).named("img")) == 1


def test_lines_for_a_terminal() -> None:
    assert explanation_lines(EXPLANATION) == [
        "gate: image 0.50, text 1.50 (they sum to 2)",
        "words took over 50% of the 2 x 2 patches (those with a cosine of at least 0.125)",
        "  in   stays as it is",
        "  red  took over 2 of 4 patches, mostly upper centre; 25% of the merged word is image",
    ]
    nothing = Explanation(None, ["x"], (2, 2))
    assert explanation_lines(nothing) == ["this method gives no explanation"]
    assert explanation_lines(replace(nothing, similarity=(0.5, 0.25))) == [
        "cosine of the query with the image 0.50, with the text 0.25"
    ]


def test_the_page_is_one_file_and_escapes_everything(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    picture().save(file)
    explanation = replace(EXPLANATION, words=["in", HOSTILE])
    rows = [("image alone", [(HOSTILE, file), ("gone", tmp_path / "gone.png")])]
    page = read(render_explanation(explanation, file, HOSTILE, rows))
    assert not page.named("script") and not page.named("link")
    images = page.named("img")
    assert len(images) == 4 and all(image["alt"] for image in images)
    assert all(str(image["src"]).startswith("data:image/") for image in images)
    words = " ".join(" ".join(page.text).split())
    assert "image 25 %" in words and "text 75 %" in words and "photo not readable" in words
    assert HOSTILE in page.text and "image alone" in words


@pytest.mark.slow
def test_the_command_explains_a_model_s_query(
    model: TMCIR, photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, shop, page = (str(tmp_path / name) for name in ("model", "shop", "page.html"))
    model.save_pretrained(folder)
    assert run("index", shop, str(photos[0].parent), "--model", folder) == 0
    query = ("--image", str(photos[0]), "--text", "in red")
    capsys.readouterr()
    assert run("explain", folder, *query) == 0
    assert capsys.readouterr().out.startswith("gate: image 1.00, text 1.00")
    assert (
        run("explain", folder, *query, "--gallery", shop, "-k", "3", "--html", page, "--json") == 0
    )
    content = json.loads(capsys.readouterr().out)
    assert content["words"][-1] == "red" and content["gate"] == [1.0, 1.0]
    assert list(content["results"]) == ["image and text", "image alone", "text alone"]
    assert all(len(found) == 3 for found in content["results"].values())
    assert photos[0].name in content["results"]["image alone"]
    images = read(Path(page).read_text()).named("img")
    assert sum(str(image["alt"]).startswith("Result ") for image in images) == 9
    # A page of search results tells the same.
    assert run("search", shop, *query, "--html", page) == 0
    assert "How the query was composed" in Path(page).read_text()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["none", "--image", "PHOTO", "--text", "x"], "none"),
        (["./none", "--image", "PHOTO", "--text", "x"], "./none: no such model directory"),
        (["MODEL", "--image", "none.jpg", "--text", "x"], "none.jpg: no such file"),
        (["MODEL", "--image", "PHOTO", "--text", "  "], "nothing to explain without a text"),
        (["MODEL", "--image", "PHOTO"], "Missing option '--text'"),
        (["MODEL", "--image", "PHOTO", "--text", "x", "--gallery", "none"], "there is no gallery"),
        (["MODEL", "--image", "PHOTO", "--text", "x", "--html", "."], ".: cannot be written"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    model: TMCIR,
    photos: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mistake: Mistake,
    arguments: list[str],
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    model.save_pretrained("model")
    names = {"MODEL": "model", "PHOTO": str(photos[0])}
    assert problem in mistake("explain", *[names.get(given, given) for given in arguments])
