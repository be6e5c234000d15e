"""From a benchmark's recipe to its jobs.

{output}/shared/align-{key}/{seed}/   towers after stage align, shared by cells
{output}/cells/{cell}/{seed}/         one cell with one seed
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from tmcir.benchmark.recipe import BenchmarkRecipe, CellSettings
from tmcir.core.errors import TMCIRError
from tmcir.core.hashing import stable_name
from tmcir.core.json_files import read_json
from tmcir.data.dataset import Dataset
from tmcir.data.datasets import open_dataset
from tmcir.data.settings import DatasetSettings
from tmcir.evaluation.embedding import OWN_METHOD
from tmcir.runs.recipes import write_override
from tmcir.runs.settings import Settings
from tmcir.training import Recipe, load_recipe

JOB = "job.json"
REPORT = "report.json"
LOG = "log.txt"
TRAINING = "training"
# Settings that do not change the result of stage align.
_NOT_IN_KEY = {
    "seed",
    "name",
    "description",
    "output",
    "command",
    "checkpoint_minutes",
    "image_memory",
}
# The method of shared towers: it has no weights.
_NO_METHOD = "weighted-sum"


class Job(Settings):
    """A model to train, to measure, or both; its folder holds all results."""

    label: str = Field(description="Its name in messages.")
    folder: Path = Field(description="Gets job.json first and report.json last.")
    needs: tuple[Path, ...] = Field(
        default=(), description="Folders of the jobs that it depends on."
    )
    recipe: Recipe | None = Field(default=None, description="The training; none: no training.")
    model: Path = Field(description="The model that is trained or measured.")
    cell: str | None = Field(default=None, description="The cell; none: shared towers.")
    seed: int = Field(description="The seed.")
    dataset: DatasetSettings = Field(description="The dataset that is measured.")
    compose: str = Field(default=OWN_METHOD, description="The composition method.")
    split: str | None = Field(default=None, description="The split that is measured.")
    protocol: str | None = Field(default=None, description="The evaluation protocol.")

    def open_dataset(self) -> Dataset:
        """Open the split that is measured.

        Raises:
            TMCIRError: The dataset, the split or an option is unknown, or the folder lacks a file.
        """
        return open_dataset(
            self.dataset.name, self.dataset.root, self.split, **self.dataset.options
        )

    @property
    def finished(self) -> bool:
        """Whether the job is finished."""
        return (self.folder / REPORT).exists()

    def claimed_by_another(self) -> bool:
        """Return whether the folder holds a job with other settings."""
        path = self.folder / JOB
        return path.exists() and read_json(path) != json.loads(self.model_dump_json())


def plan(
    benchmark: BenchmarkRecipe, cells: Sequence[CellSettings], seeds: Sequence[int], output: Path
) -> list[Job]:
    """Return the jobs, each after those that it depends on.

    They are ordered by seed, so that the cells of a stopped run compare.

    Raises:
        TMCIRError: A cell's settings have errors; all of them are named.
    """
    jobs: dict[Path, Job] = {}
    problems = []
    for seed in seeds:
        for cell in cells:
            try:
                planned = _Planner(benchmark, seed, output).jobs(cell)
            except TMCIRError as error:
                problems.append(f"cell {cell.name}: {error}")
                continue
            jobs |= {job.folder: job for job in planned}
    if problems:
        raise TMCIRError("; ".join(dict.fromkeys(problems)))
    return list(jobs.values())


def check_folders(jobs: Sequence[Job]) -> None:
    """Check that no job's folder holds another job.

    Raises:
        TMCIRError: Some do; all of them are named.
    """
    taken = [str(job.folder) for job in jobs if job.claimed_by_another()]
    if taken:
        raise TMCIRError(
            f"{', '.join(taken)}: hold runs with other settings; choose another --output, or remove"
            " them"
        )


def cell_folder(output: Path, cell: str, seed: int) -> Path:
    """Return the folder of a cell with one seed."""
    return output / "cells" / cell / str(seed)


class _Planner:
    """Plans the cells of one seed."""

    def __init__(self, benchmark: BenchmarkRecipe, seed: int, output: Path) -> None:
        self._benchmark = benchmark
        self._seed = seed
        self._output = output

    def jobs(self, cell: CellSettings) -> list[Job]:
        """Return the cell's job, after that of its shared towers if there is one."""
        folder = cell_folder(self._output, cell.name, self._seed)
        base = self._recipe(cell, folder / TRAINING)
        before, towers = self._towers(cell, base)
        recipe = base if towers is None else self._without_align(cell, base, towers)
        model = folder / TRAINING / "model" if recipe is not None else towers
        assert model is not None
        needs = before.folder if before is not None else None
        if cell.towers_of is not None:
            needs = cell_folder(self._output, cell.towers_of, self._seed)
        job = Job(
            label=f"{cell.name}, seed {self._seed}",
            folder=folder,
            needs=() if needs is None else (needs,),
            recipe=recipe,
            model=model,
            cell=cell.name,
            seed=self._seed,
            dataset=base.dataset,
            compose=cell.compose or OWN_METHOD,
            split=self._benchmark.split,
            protocol=self._benchmark.protocol,
        )
        return [job] if before is None else [before, job]

    def _recipe(self, cell: CellSettings, folder: Path) -> Recipe:
        changes = {**self._benchmark.overrides, **cell.overrides}
        changes |= {"seed": self._seed, "output": str(folder)}
        return load_recipe(
            self._benchmark.base, [write_override(key, value) for key, value in changes.items()]
        )

    def _towers(self, cell: CellSettings, base: Recipe) -> tuple[Job | None, Path | None]:
        """Return the job that trains the cell's towers (or None) and their folder (or None)."""
        if cell.towers_of is not None:
            return None, self.jobs(self._benchmark.cell(cell.towers_of))[-1].model
        if base.stages.align is None:
            return None, None
        job = self._alignment(base)
        return job, job.model

    def _alignment(self, base: Recipe) -> Job:
        model = base.model.model_dump(mode="json") | {"method": _NO_METHOD, "files": "float32"}
        stages = {"align": base.stages.model_dump(mode="json")["align"]}
        content = base.model_dump(mode="json") | {"model": model, "stages": stages}
        key = {name: value for name, value in content.items() if name not in _NOT_IN_KEY}
        name = f"align-{stable_name(json.dumps(key, sort_keys=True))[:12]}"
        folder = self._output / "shared" / name / str(self._seed)
        recipe = Recipe.model_validate(content | {"output": folder / TRAINING})
        return Job(
            label=f"stage align, seed {self._seed}",
            folder=folder,
            recipe=recipe,
            model=folder / TRAINING / "model",
            seed=self._seed,
            dataset=base.dataset,
        )

    def _without_align(self, cell: CellSettings, base: Recipe, towers: Path) -> Recipe | None:
        """Return the training after stage align; None where there is none."""
        content: dict[str, Any] = base.model_dump(mode="json")
        stages = {**content["stages"], "align": None}
        if cell.compose is not None or not any(stages.values()):
            return None
        content["model"] |= {"build": None, "source": str(towers)}
        return Recipe.model_validate(content | {"stages": stages})
