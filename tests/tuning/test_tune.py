"""`tmcir tune`: a folder and a CSV in, a model out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import tmcir
from tests.commands import run
from tests.shop import draw_shop, rows, save_start, write_table
from tmcir.core.errors import TMCIRError
from tmcir.evaluation import Metric
from tmcir.models import TMCIR
from tmcir.tuning import job
from tmcir.tuning.features import EncodedPhotos
from tmcir.tuning.figures import Comparison
from tmcir.tuning.result import Tuned


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMCIR_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return draw_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, shop: tuple[Path, Path]) -> Path:
    return save_start(tmp_path_factory.mktemp("start"), shop[0])


class Lines:
    """Keeps what is printed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def print(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, description: str) -> Any:
        from contextlib import nullcontext

        return nullcontext(lambda done, total: None)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture(scope="module")
def tuned(
    tmp_path_factory: pytest.TempPathFactory, shop: tuple[Path, Path], start: Path
) -> tuple[Tuned, Lines]:
    lines = Lines()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMCIR_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        patch.setattr("tmcir.tuning.settings._RATE", 0.02)  # few steps, tiny heads
        output = tmp_path_factory.mktemp("tuned") / "shop-model"
        found = tmcir.tune(*shop, output=output, model=start, epochs=40, console=lines)
    return found, lines


@pytest.mark.slow
def test_tuning_learns_what_photos_show(tuned: tuple[Tuned, Lines]) -> None:
    found, lines = tuned
    assert "kind" in found.columns
    assert found.left_out["season"].startswith("photos do not show it: ")
    assert found.gain[0] > 0
    assert "after - before, mAP@10: +" in lines.text
    for step in ("1/5", "2/5", "3/5", "4/5", "5/5"):
        assert step in lines.text


@pytest.mark.slow
def test_the_output_is_a_model_with_a_card_and_a_page(tuned: tuple[Tuned, Lines]) -> None:
    found, _ = tuned
    assert isinstance(found.model, TMCIR)
    card = (found.output / "README.md").read_text()
    assert "Queries change these columns: kind" in card
    assert "season: photos do not show it" in card
    assert "after" in card
    assert "/start" not in card  # folders are private
    page = found.page.read_text()
    assert page.count("<section>") >= 12
    assert "What fails" in page
    report = json.loads((found.output / "tune.json").read_text())
    assert set(report["reports"]) == {"before", "after", "sum of both", "image alone", "text alone"}


@pytest.mark.slow
def test_a_second_run_finds_its_work(
    tuned: tuple[Tuned, Lines],
    shop: tuple[Path, Path],
    start: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, _ = tuned

    def fails(*_: object) -> None:
        raise AssertionError("a photo was encoded again")

    monkeypatch.setattr("tmcir.tuning.features.EncodedPhotos._encode", fails)
    monkeypatch.setattr("tmcir.tuning.settings._RATE", 0.02)
    again = tmcir.tune(*shop, output=found.output, model=start, epochs=40)
    assert again.gain == found.gain
    with pytest.raises(TMCIRError, match="holds a run with other settings"):
        tmcir.tune(*shop, output=found.output, model=start, epochs=41)


@pytest.mark.slow
def test_where_tuning_gains_nothing_the_start_model_stays(
    tmp_path: Path,
    shop: tuple[Path, Path],
    start: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(job, "train", lambda *_, **__: start)
    output = tmp_path / "out"
    options = ("--metadata", str(shop[1]), "--output", str(output), "--model", str(start))
    assert run("tune", str(shop[0]), *options) == 3
    printed = capsys.readouterr().out
    assert "within noise" in printed
    assert "is not better beyond noise" in printed
    assert tmcir.load(output).identity == tmcir.load(start).identity
    assert "as it was" in (output / "README.md").read_text()


@pytest.mark.slow
def test_a_better_model_is_the_answer_and_says_how_to_use_it(
    tuned: tuple[Tuned, Lines],
    shop: tuple[Path, Path],
    start: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tuned[0].output
    monkeypatch.setattr("tmcir.tuning.settings._RATE", 0.02)
    monkeypatch.setattr("tmcir.tuning.figures.Comparison.better", property(lambda _: True))
    options = ("--metadata", str(shop[1]), "--output", str(output), "--model", str(start))
    assert run("tune", str(shop[0]), *options, "--epochs", "40", "--json") == 0
    assert json.loads(capsys.readouterr().out)["better"] is True
    assert tmcir.load(output).identity != tmcir.load(start).identity


def test_a_gain_counts_where_its_interval_is_above_zero() -> None:
    def verdict(low: float, high: float) -> tuple[bool, str]:
        gain = Metric((low + high) / 2, low, high)
        compared = Comparison({}, gain, None, None)
        return compared.better, compared.verdict

    assert verdict(0.1, 3) == (True, "better beyond noise")
    assert verdict(-0.1, 3) == (False, "within noise")
    assert verdict(-3, -1) == (False, "worse beyond noise")


def test_a_catalogue_that_is_too_small_is_one_line(
    tmp_path: Path, shop: tuple[Path, Path], start: Path
) -> None:
    table = write_table(tmp_path / "few.csv", rows()[:30])
    with pytest.raises(TMCIRError, match="describes 30 products that have photos; tuning needs"):
        tmcir.tune(shop[0], table, output=tmp_path / "out", model=start)


def test_a_table_whose_columns_no_photo_shows_is_one_line(
    tmp_path: Path, shop: tuple[Path, Path], start: Path
) -> None:
    table = [{"id": row["id"], "season": row["season"]} for row in rows()]
    path = write_table(tmp_path / "season.csv", table)
    with pytest.raises(TMCIRError, match=r"no column can be read off the photos: season: .*%"):
        tmcir.tune(shop[0], path, output=tmp_path / "out", model=start)


@pytest.mark.slow
def test_broken_photos_are_skipped_and_named(
    tmp_path: Path, shop: tuple[Path, Path], start: Path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(shop[0], photos)
    for number in range(1, 13):  # of all splits
        (photos / f"p{number:04d}.png").write_bytes(b"no photo")
    lines = Lines()
    tmcir.tune(photos, shop[1], output=tmp_path / "out", model=start, epochs=2, console=lines)
    assert "p0001.png: it cannot be read as a photo" in lines.text
    assert "skipped 7 more photos" in lines.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--bins", "price"), "error: --bins price: write column=steps, such as price=4"),
        (("--columns", "colur"), "did you mean 'colour'"),
        (("--group", "produkt"), "unknown column 'produkt'"),
        (("--metadata-key", "sku"), "unknown metadata key column"),
        (("--phrases", "none.yaml"), "none.yaml: "),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path,
    shop: tuple[Path, Path],
    options: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = ("--metadata", str(shop[1]), "--output", str(tmp_path / "out"))
    assert run("tune", str(shop[0]), *output, *options) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_cached_photos_and_texts_give_the_queries_of_the_model(
    shop: tuple[Path, Path], start: Path, tmp_path: Path
) -> None:
    model = tmcir.load(start)
    photos = EncodedPhotos(model, tmp_path)
    files, texts = sorted(shop[0].iterdir())[:3], ["in red", "", "as jeans"]
    found = model.fuse(photos.features(files), photos.read(texts))
    torch.testing.assert_close(found, model.compose(files, texts), atol=1e-3, rtol=0)
