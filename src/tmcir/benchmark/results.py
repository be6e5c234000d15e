"""The results of a benchmark, collected from the cells' folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tmcir.benchmark.job import CellReport, read_clusters, read_queries
from tmcir.benchmark.plan import REPORT, Job, cell_folder
from tmcir.benchmark.recipe import BenchmarkRecipe, CellSettings
from tmcir.benchmark.statistics import Comparison, Mean, compare, mean_over_seeds
from tmcir.benchmark.timing import ComposeTime
from tmcir.core.errors import TMCIRError
from tmcir.core.json_files import check, read_json
from tmcir.evaluation import Report

FORMAT = "tmcir-benchmark-2"
GROUPS = {"baseline": "baselines", "ablation": "ablations", "method": "the method"}
"""Titles of the groups of cells, in the order of the table."""


@dataclass(frozen=True, slots=True)
class CellResult:
    """A row of the table.

    Attributes:
        name: Name of the cell.
        title: Its name in the table.
        group: ``baseline``, ``ablation`` or ``method``.
        method: The composition method; empty where no seed is finished.
        seeds: The finished seeds.
        missing: Why other seeds are missing, by seed.
        metrics: Figures in percent, by name.
        comparisons: Its difference from the reference cell, by figure; empty for that cell itself,
            and where the two have no seed in common.
        balance: Figures of balance, by name, in the units of ``tmcir.evaluation.balance.LABELS``.
        kinds: The first figure that the table compares, by kind of query; empty where queries have
            no kinds.
        interventions: Figures in percent after each intervention on its tokens, by intervention and
            name; empty where the method reads no tokens.
        trained: Number of weights that its own stages train, without a shared stage align.
        weights: Number of weights of the model.
        train_seconds: Mean over seeds of all its training, shared stages included.
        compose: Time to compose a query.
    """

    name: str
    title: str
    group: str
    method: str = ""
    seeds: tuple[int, ...] = ()
    missing: dict[int, str] = field(default_factory=dict)
    metrics: dict[str, Mean] | None = None
    comparisons: dict[str, Comparison] | None = None
    balance: dict[str, Mean] | None = None
    kinds: dict[str, Mean] = field(default_factory=dict)
    interventions: dict[str, dict[str, Mean]] = field(default_factory=dict)
    trained: int = 0
    weights: int = 0
    train_seconds: float = 0.0
    compose: ComposeTime | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """The results of a benchmark.

    Attributes:
        name: Name of the benchmark.
        dataset: Name of the dataset.
        split: The measured split.
        protocol: The protocol.
        headline: The figure that summarises the protocol.
        queries: Number of queries.
        gallery: Number of gallery images.
        seeds: All seeds of the run.
        compared_with: The reference cell of comparisons.
        compared_by: The figures that the table compares.
        cells: The rows.
    """

    name: str
    dataset: str
    split: str
    protocol: str
    headline: str
    queries: int
    gallery: int
    seeds: tuple[int, ...]
    compared_with: str
    compared_by: tuple[str, ...]
    cells: tuple[CellResult, ...]

    @property
    def complete(self) -> bool:
        """Whether every cell has every seed."""
        return not any(cell.missing for cell in self.cells)

    def as_dict(self) -> dict[str, Any]:
        """Return the content of the JSON file."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def load(cls, path: str | Path) -> Results:
        """Read the JSON file.

        Raises:
            TMCIRError: There is no such file, or it is not of this format.
        """
        content = read_json(Path(path))
        where = f"{path}: not the results of a benchmark"
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise TMCIRError(f"{where}: not of the format {FORMAT}")
        return check(content, where, cls)


def collect(
    benchmark: BenchmarkRecipe,
    cells: Sequence[CellSettings],
    seeds: Sequence[int],
    jobs: Sequence[Job],
    failed: Mapping[Path, str],
    times: Mapping[str, ComposeTime],
) -> Results:
    """Collect the reports in the cells' folders; nothing is measured again.

    Raises:
        TMCIRError: A report is broken, or no cell is finished.
    """
    collector = _Collector(benchmark, seeds, jobs, failed)
    report = collector.any_report()
    compared_by = benchmark.compare_by or (report.headline,)
    return Results(
        name=benchmark.name,
        dataset=report.dataset,
        split=report.split,
        protocol=report.protocol,
        headline=report.headline,
        queries=report.overall.queries,
        gallery=report.overall.gallery,
        seeds=tuple(seeds),
        compared_with=benchmark.compare_with,
        compared_by=tuple(compared_by),
        cells=tuple(
            collector.cell(cell, times.get(cell.name))
            for group in GROUPS
            for cell in cells
            if cell.group == group
        ),
    )


class _Collector:
    """Reads the folders of one benchmark."""

    def __init__(
        self,
        benchmark: BenchmarkRecipe,
        seeds: Sequence[int],
        jobs: Sequence[Job],
        failed: Mapping[Path, str],
    ) -> None:
        self._benchmark = benchmark
        self._seeds = seeds
        self._jobs = {job.folder: job for job in jobs}
        self._failed = failed
        self._reports = {
            job.folder: CellReport.load(job.folder / REPORT) for job in jobs if job.finished
        }

    def any_report(self) -> Report:
        """Return the report of some cell: dataset and protocol are the same in all."""
        for report in self._reports.values():
            if report.report is not None:
                return report.report
        reasons = "; ".join(
            f"{job.label}: {self._failed[folder]}"
            for folder, job in self._jobs.items()
            if folder in self._failed
        )
        raise TMCIRError(f"no cell finished: {reasons}")

    def cell(self, cell: CellSettings, time: ComposeTime | None) -> CellResult:
        """Return the row of a cell."""
        folders = {seed: self._folder(cell.name, seed) for seed in self._seeds}
        done = {seed: self._reports[f] for seed, f in folders.items() if f in self._reports}
        missing = {
            seed: self._failed.get(folder, "not run")
            for seed, folder in folders.items()
            if seed not in done
        }
        if not done:
            return CellResult(cell.name, cell.label, cell.group, missing=missing)
        reports = [report.report for report in done.values() if report.report is not None]
        seconds = [self._train_seconds(folders[seed]) for seed in done]
        one = next(iter(done.values()))
        return CellResult(
            name=cell.name,
            title=cell.label,
            group=cell.group,
            method=reports[0].method,
            seeds=tuple(done),
            missing=missing,
            metrics=_means(reports, _figures),
            comparisons=self._compare(cell.name, list(done)),
            balance=_means(reports, _balance),
            kinds=_means(reports, self._by_kind) or {},
            interventions=_interventions(list(done.values())),
            trained=one.trained,
            weights=one.weights,
            train_seconds=sum(seconds) / len(seconds),
            compose=time,
        )

    def _folder(self, cell: str, seed: int) -> Path:
        return cell_folder(self._benchmark.folder, cell, seed)

    def _train_seconds(self, folder: Path) -> float:
        """Return the training time of a job and of those that it depends on."""
        before = sum(self._train_seconds(needed) for needed in self._jobs[folder].needs)
        return before + self._reports[folder].train_seconds

    def _by_kind(self, report: Report) -> dict[str, float]:
        figure = (self._benchmark.compare_by or (report.headline,))[0]
        return {part.name: part.metrics[figure].value for part in report.parts}

    def _compare(self, cell: str, seeds: Sequence[int]) -> dict[str, Comparison]:
        """Compare a cell with the reference cell by every figure of both."""
        other = self._benchmark.compare_with
        both = [seed for seed in seeds if self._folder(other, seed) in self._reports]
        if cell == other or not both:
            return {}
        pairs = [
            tuple(read_queries(self._folder(name, seed)) for name in (cell, other)) for seed in both
        ]
        report = self._reports[self._folder(cell, both[0])].report
        assert report is not None
        names = [
            name
            for name in report.overall.metrics
            if all(name in measures for pair in pairs for one in pair for measures in one.values())
        ]
        clusters = [_numbered(own) for own in read_clusters(self._folder(cell, both[0])).values()]
        return {
            name: compare([_difference(pairs, task, name) for task in pairs[0][0]], clusters)
            for name in names
        }


def _difference(
    pairs: Sequence[tuple[dict[str, dict[str, Tensor]], ...]], task: str, name: str
) -> Tensor:
    """Return the differences of a measure by seed and query, float64 [S, Q]."""
    return torch.stack([own[task][name] - other[task][name] for own, other in pairs])


def _numbered(clusters: Sequence[str]) -> Tensor:
    """Return a number for each cluster, long [Q]."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    return torch.tensor([numbers[name] for name in clusters])


def _interventions(reports: Sequence[CellReport]) -> dict[str, dict[str, Mean]]:
    """Return the means over seeds of all figures after each intervention."""
    return {
        intervention: {
            name: mean_over_seeds([report.interventions[intervention][name] for report in reports])
            for name in figures
        }
        for intervention, figures in reports[0].interventions.items()
    }


def _means(
    reports: Sequence[Report], figures: Callable[[Report], dict[str, float]]
) -> dict[str, Mean]:
    """Return the means over seeds of the figures that every seed has."""
    found = [figures(report) for report in reports]
    names = [name for name in found[0] if all(name in one for one in found)]
    return {name: mean_over_seeds([one[name] for one in found]) for name in names}


def _figures(report: Report) -> dict[str, float]:
    return {name: metric.value for name, metric in report.overall.metrics.items()}


def _balance(report: Report) -> dict[str, float]:
    figures = {} if report.balance is None else report.balance.figures
    return {name: metric.value for name, metric in figures.items()}
