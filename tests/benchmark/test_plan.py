"""What is trained where: shared once, claimed by its settings, and every error named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.benchmark.tiny_benchmark import BROKEN, IMAGE, SUM, TMCIR, WEIGHTED, write_benchmark
from tmcir.benchmark.plan import JOB, Job, check_folders, plan
from tmcir.benchmark.recipe import load_benchmark
from tmcir.core.errors import TMCIRError
from tmcir.core.files import write_json
from tmcir.runs.recipes import recipe_names


def jobs_of(path: Path, *overrides: str, seeds: tuple[int, ...] = (0,)) -> dict[str, Job]:
    benchmark = load_benchmark(path, overrides)
    return {job.label: job for job in plan(benchmark, benchmark.cells, seeds, benchmark.folder)}


@pytest.mark.parametrize("name", recipe_names("benchmark"))
def test_every_shipped_benchmark_fits_its_base(name: str, tmp_path: Path) -> None:
    benchmark = load_benchmark(name)
    jobs = plan(benchmark, benchmark.cells, benchmark.seeds, tmp_path)
    assert sum(job.cell is not None for job in jobs) == 3 * len(benchmark.cells)
    assert (benchmark.name, benchmark.split) == (name, None)


def test_cells_with_one_alignment_share_it(catalogue: Path, tmp_path: Path) -> None:
    wider = {"name": "wider", "group": "ablation", "overrides": {"model.method.hidden_size": 32}}
    longer = {"name": "longer", "group": "ablation", "overrides": {"stages.align.epochs": 2}}
    without = {"name": "without", "group": "ablation", "overrides": {"stages.align": None}}
    path = write_benchmark(tmp_path, catalogue, SUM, wider, longer, without, TMCIR)
    jobs = jobs_of(path, seeds=(0, 1))
    needs = {label: [folder.parent.name for folder in job.needs] for label, job in jobs.items()}
    assert needs["sum, seed 0"] == needs["wider, seed 0"] == needs["tmcir, seed 1"] != []
    assert needs["longer, seed 0"] not in ([], needs["sum, seed 0"])
    assert needs["without, seed 0"] == []
    # Two kinds of alignment and four cells that need one of them, with two seeds.
    assert len(list(tmp_path.glob("out/*"))) == 0
    benchmark = load_benchmark(path)
    every = plan(benchmark, benchmark.cells, (0, 1), benchmark.folder)
    assert sum(job.cell is None for job in every) == 4 and len(every) == 14
    done: set[Path] = set()
    for job in every:
        assert set(job.needs) <= done
        done.add(job.folder)


def test_what_a_cell_trains(catalogue: Path, tmp_path: Path) -> None:
    jobs = jobs_of(write_benchmark(tmp_path, catalogue, SUM, IMAGE, WEIGHTED, TMCIR))
    total, image, weighted = (
        jobs[f"{name}, seed 0"] for name in ("sum", "image-only", "weighted-sum")
    )
    shared = jobs["stage align, seed 0"]
    assert shared.recipe is not None and shared.recipe.stages.fuse is None
    assert total.recipe is not None and weighted.recipe is not None
    assert total.recipe.stages.align is None
    assert total.recipe.model.source == str(shared.model)
    assert (image.recipe, image.compose, image.model) == (None, "image", total.model)
    assert image.needs == (total.folder,)
    assert weighted.recipe.model.source == str(total.model)
    assert weighted.recipe.stages.fuse is None and weighted.recipe.stages.tune is not None


def test_towers_before_fusion_are_measured_as_they_are(catalogue: Path, tmp_path: Path) -> None:
    aligned = {
        "name": "aligned",
        "group": "baseline",
        "overrides": {"model.method": "weighted-sum", "stages.fuse": None},
    }
    jobs = jobs_of(write_benchmark(tmp_path, catalogue, aligned, TMCIR))
    job = jobs["aligned, seed 0"]
    assert job.recipe is None and job.model == jobs["stage align, seed 0"].model


def test_overrides_go_to_every_cell_but_what_a_cell_says_counts(
    catalogue: Path, tmp_path: Path
) -> None:
    path = write_benchmark(tmp_path, catalogue, SUM, BROKEN, TMCIR)
    jobs = jobs_of(path, "stages.fuse.learning_rate=0.5", "precision=bfloat16")
    rates = {}
    for label, job in jobs.items():
        assert job.recipe is not None and job.recipe.precision == "bfloat16"
        if job.recipe.stages.fuse is not None:
            rates[label] = job.recipe.stages.fuse.learning_rate
    assert rates == {"sum, seed 0": 0.5, "broken, seed 0": 1e30, "tmcir, seed 0": 0.5}


def test_what_runs_is_what_was_chosen_and_what_it_stands_on(
    catalogue: Path, tmp_path: Path
) -> None:
    benchmark = load_benchmark(write_benchmark(tmp_path, catalogue, SUM, IMAGE, WEIGHTED, TMCIR))
    chosen = [cell.name for cell in benchmark.choose(["tmcir", "image-only"])]
    assert chosen == ["sum", "image-only", "tmcir"]
    with pytest.raises(TMCIRError, match="unknown cell 'tmci': did you mean 'tmcir'"):
        benchmark.choose(["tmci"])


def test_a_folder_with_other_settings_is_named(catalogue: Path, tmp_path: Path) -> None:
    path = write_benchmark(tmp_path, catalogue, SUM, TMCIR)
    job = jobs_of(path)["tmcir, seed 0"]
    write_json(job.folder / JOB, job.model_dump(mode="json"))
    check_folders(list(jobs_of(path).values()))
    with pytest.raises(TMCIRError, match=r"out/cells/tmcir/0: hold runs with other settings"):
        check_folders(list(jobs_of(path, "stages.fuse.epochs=2").values()))


@pytest.mark.parametrize(
    ("cells", "changes", "problem"),
    [
        ([SUM, SUM, TMCIR], {}, "two cells have the name 'sum'"),
        ([IMAGE, SUM, TMCIR], {}, "cell image-only: no cell 'sum' comes before it"),
        ([SUM], {}, "unknown cell to compare with 'tmcir'"),
        ([SUM, TMCIR], {"seeds": [1, 1]}, "a seed is given twice"),
        ([{**SUM, "compose": "sum"}, TMCIR], {}, "compose needs towers_of"),
        ([{**SUM, "group": "baselin"}, TMCIR], {}, "cells.0.group"),
        ([{**SUM, "name": "../sum"}, TMCIR], {}, "cells.0.name"),
        ([{**SUM, "over": {}}, TMCIR], {}, "unknown setting"),
    ],
)
def test_a_mistake_in_the_benchmark_is_named(
    catalogue: Path,
    tmp_path: Path,
    cells: list[dict[str, Any]],
    changes: dict[str, Any],
    problem: str,
) -> None:
    path = write_benchmark(tmp_path, catalogue, *cells, **changes)
    with pytest.raises(TMCIRError, match=problem.replace(".", r"\.")):
        load_benchmark(path)


def test_mistakes_in_all_cells_are_named_at_once(catalogue: Path, tmp_path: Path) -> None:
    wrong = {**SUM, "overrides": {"model.metod": "tirg"}}
    worse = {**BROKEN, "overrides": {"stages.fuse.epochs": 0}}
    path = write_benchmark(tmp_path, catalogue, wrong, worse, TMCIR)
    with pytest.raises(TMCIRError) as caught:
        jobs_of(path, seeds=(0, 1))
    message = str(caught.value)
    assert "cell sum: " in message and "did you mean 'method'?" in message
    assert "cell broken: " in message and message.count("stages.fuse.epochs") == 1
