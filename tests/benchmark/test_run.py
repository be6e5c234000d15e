"""Whole benchmarks of a few steps: shared work once, killed and resumed, failures named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmark.tiny_benchmark import BROKEN, IMAGE, SUM, TMCIR, write_benchmark
from tests.commands import Mistake, run
from tests.training.test_run import wait_for_lines
from tmcir.benchmark import job, load_benchmark, run_benchmark
from tmcir.benchmark.job import CellReport, read_queries
from tmcir.benchmark.plan import cell_folder
from tmcir.benchmark.results import Results
from tmcir.core.errors import TMCIRError
from tmcir.evaluation.protocols import FASHION200K_RECALLS

pytestmark = pytest.mark.slow

SEEDS = (0, 1)


@pytest.fixture(scope="module")
def finished(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    """A benchmark of two seeds, one of whose cells fails; its recipe and its results."""
    folder = tmp_path_factory.mktemp("finished")
    path = write_benchmark(folder, catalogue, SUM, IMAGE, BROKEN, TMCIR)
    return path, run_benchmark(load_benchmark(path), seeds=SEEDS)


def figures(results: Results, cell: str) -> dict[str, tuple[float, ...]]:
    (found,) = (one for one in results.cells if one.name == cell)
    return {name: mean.values for name, mean in (found.metrics or {}).items()}


def test_every_cell_is_trained_and_compared(finished: tuple[Path, Results]) -> None:
    path, results = finished
    cells = {cell.name: cell for cell in results.cells}
    assert list(cells) == ["sum", "image-only", "broken", "tmcir"]
    for name in ("sum", "image-only", "tmcir"):
        assert cells[name].seeds == SEEDS and not cells[name].missing
        assert list(cells[name].comparisons or {}) == (
            [] if name == "tmcir" else list(cells[name].metrics or {})
        )
    assert (cells["image-only"].trained, cells["image-only"].method) == (0, "image")
    assert 0 < cells["sum"].trained == cells["sum"].weights < cells["tmcir"].trained
    # The towers of the sum are in the time of what stands on them.
    assert cells["image-only"].train_seconds == pytest.approx(cells["sum"].train_seconds)
    assert all(cells[name].compose is not None for name in ("sum", "image-only", "tmcir"))
    balance = cells["image-only"].balance or {}
    assert balance["image_share"].values == pytest.approx((100, 100))
    assert Results.load(path.parent / "out" / "results.json") == results


def test_a_failing_cell_is_named_and_the_others_go_on(finished: tuple[Path, Results]) -> None:
    path, results = finished
    (broken,) = (cell for cell in results.cells if cell.name == "broken")
    assert broken.seeds == () and set(broken.missing) == set(SEEDS)
    assert "the loss is" in broken.missing[0]
    page = (path.parent / "out" / "results.md").read_text()
    assert (
        "| broken | missing |" in page and "- broken: missing with seed 0: fuse: the loss" in page
    )


def test_the_alignment_of_a_seed_is_trained_once(finished: tuple[Path, Results]) -> None:
    shared = sorted((finished[0].parent / "out" / "shared").glob("*/*"))
    assert [folder.name for folder in shared] == ["0", "1"]
    for folder in shared:
        assert CellReport.load(folder / "report.json").train_seconds > 0
    trained = finished[0].parent.glob("out/cells/*/*/training/align")
    assert not list(trained)


def test_statistics_can_be_computed_again_from_the_queries(finished: tuple[Path, Results]) -> None:
    path, results = finished
    for cell in ("sum", "image-only", "tmcir"):
        for place, seed in enumerate(SEEDS):
            folder = cell_folder(path.parent / "out", cell, seed)
            (measures,) = read_queries(folder).values()
            for k in FASHION200K_RECALLS:
                recall = 100 * (measures["rank"] <= k).double().mean().item()
                assert recall == pytest.approx(figures(results, cell)[f"R@{k}"][place])
            assert {"image_contribution", "kept_too_much", "kept@10"} <= set(measures)


def test_what_is_finished_is_not_done_again(
    finished: tuple[Path, Results],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, results = finished
    monkeypatch.setattr(job, "train", None)  # calling it would be a failure of the cell
    assert run("benchmark", str(path), "--seeds", "0", "1", "--cells", "image-only", "tmcir") == 0
    out, err = capsys.readouterr()
    again = Results.load(path.parent / "out" / "results.json")
    assert [cell.name for cell in again.cells] == ["sum", "image-only", "tmcir"]
    for cell in ("sum", "image-only", "tmcir"):
        assert figures(again, cell) == figures(results, cell)
    assert "| TMCIR |" in out and "results: " in err and "[1/" not in err


def start(path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tmcir", "benchmark", str(path), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_killed_benchmark_goes_on_as_if_nothing_had_happened(
    finished: tuple[Path, Results], catalogue: Path, tmp_path: Path
) -> None:
    path = write_benchmark(tmp_path, catalogue, SUM, TMCIR)
    benchmark = load_benchmark(path)
    cell = cell_folder(benchmark.folder, "tmcir", 0)
    # Within the shared stage, and within a cell after one that is finished.
    shared = next(finished[0].parent.glob("out/shared/*")).name
    for metrics in (
        benchmark.folder / "shared" / shared / "0" / "training" / "align" / "metrics.jsonl",
        cell / "training" / "fuse" / "metrics.jsonl",
    ):
        process = start(path, "--seeds", "1")
        wait_for_lines(metrics, 3, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    first = cell_folder(benchmark.folder, "sum", 0) / "report.json"
    assert first.exists() and not (cell / "report.json").exists()
    before = first.stat().st_mtime_ns
    results = run_benchmark(benchmark, seeds=[0])
    assert results.complete and first.stat().st_mtime_ns == before
    for name in ("sum", "tmcir"):
        undisturbed = {key: values[:1] for key, values in figures(finished[1], name).items()}
        assert figures(results, name) == undisturbed
    assert not list(benchmark.folder.rglob(".*"))


def test_several_processes_share_the_cells(
    finished: tuple[Path, Results],
    catalogue: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_benchmark(tmp_path, catalogue, SUM, BROKEN, TMCIR)
    command = ("benchmark", str(path), "--seeds", "1", "--processes", "2", "--json")
    assert run(*command) == 1  # one cell failed
    out, err = capsys.readouterr()
    content: dict[str, Any] = json.loads(out)
    assert [bool(cell["seeds"]) for cell in content["cells"]] == [True, False, True]
    assert "broken, seed 0: failed: fuse: the loss is" in err
    logs = tmp_path.glob("out/cells/*/0/log.txt")
    assert sum("fuse  step" in log.read_text() for log in logs) == 2


def test_interventions_are_measured_where_tokens_are_read(
    finished: tuple[Path, Results],
) -> None:
    cells = {cell.name: cell for cell in finished[1].cells}
    assert cells["sum"].interventions == cells["image-only"].interventions == {}
    found = cells["tmcir"].interventions
    assert found.keys() == {"patches swapped", "W o = 0"}
    assert found["W o = 0"].keys() == (cells["tmcir"].metrics or {}).keys()
    assert cells["tmcir"].kinds.keys() == cells["sum"].kinds.keys() != set()


def test_queries_that_were_trained_on_are_not_measured(catalogue: Path, tmp_path: Path) -> None:
    path = write_benchmark(tmp_path, catalogue, SUM, TMCIR, split="train")
    with pytest.raises(TMCIRError, match="measured queries of fashion-products train are in its"):
        run_benchmark(load_benchmark(path), seeds=[0])
    assert not (tmp_path / "out").exists()


def test_nothing_finished_is_an_error(catalogue: Path, tmp_path: Path) -> None:
    broken = {**BROKEN, "overrides": {**BROKEN["overrides"], "stages.align": None}}
    path = write_benchmark(tmp_path, catalogue, broken, compare_with="broken")
    with pytest.raises(TMCIRError, match="no cell finished: broken, seed 0: fuse: the loss"):
        run_benchmark(load_benchmark(path), seeds=[0])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["benchmark-fashion-product"], "did you mean 'benchmark-fashion-products'?"),
        (["fashion-products"], "is for `tmcir train`, not for `tmcir benchmark`"),
        (["none.yaml"], "none.yaml"),
        (["PATH", "dataset.root=none"], "none: no such folder"),
        (["PATH", "stages.fuse.epoch=1"], "cell sum: recipe"),
        (["PATH", "seed=3"], "given with --seeds"),
        (["PATH", "--seeds", "0", "x"], "--seeds 0,x: write each seed once"),
        (["PATH", "--seeds", "1", "1"], "--seeds 1,1: write each seed once"),
        (["PATH", "--seeds", "0"], "at least one seed"),
        (["PATH", "--seeds"], "write each seed once"),
        (["PATH", "--cells", "summ", "tmcir"], "unknown cell 'summ': did you mean 'sum'?"),
        (
            ["PATH", "compare_by=[R@3]", "--seeds", "1"],
            "unknown figure in compare_by 'R@3': did you mean 'R@",
        ),
        (["PATH", "protocol=cirr"], "unknown fashion-products protocol 'cirr'"),
        (["PATH", "split=tset"], "unknown fashion-products split 'tset'"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    catalogue: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mistake: Mistake,
    arguments: list[str],
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_benchmark(tmp_path, catalogue, SUM, TMCIR)
    given = [str(path) if argument == "PATH" else argument for argument in arguments]
    assert problem in mistake("benchmark", *given)
    assert not (tmp_path / "out").exists()
