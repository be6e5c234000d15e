"""Running a benchmark: its jobs in one process or several, and the table of results."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import redirect_stdout
from pathlib import Path

from tmcir.benchmark.job import CellReport, attempt
from tmcir.benchmark.plan import LOG, REPORT, Job, check_folders, plan
from tmcir.benchmark.recipe import BenchmarkRecipe
from tmcir.benchmark.results import Results, collect
from tmcir.benchmark.timing import time_composing
from tmcir.benchmark.worker import run_in_process
from tmcir.benchmark.writing import save_results
from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.files import locked, require_writable
from tmcir.data.dataset import Dataset
from tmcir.evaluation.scoring import measure_names
from tmcir.training import check_run

Log = Callable[[str], None]


def run_benchmark(
    benchmark: BenchmarkRecipe,
    cells: Sequence[str] = (),
    seeds: Sequence[int] = (),
    processes: int = 1,
    log: Log = lambda line: None,
) -> Results:
    """Train and measure the cells, and write the table, its JSON file and its plots.

    Finished jobs of an earlier run are kept, a started one resumes. A cell that fails is missing in
    the table, with the reason, and the others continue.

    Args:
        benchmark: The recipe.
        cells: Names of the cells to run; cells whose towers they start from are added. None: all.
        seeds: The seeds; none: those of the recipe.
        processes: Cells trained at once, each with its share of the cores.
        log: Called with one line per finished job.

    Raises:
        TMCIRError: The recipe does not fit its base or its data, the folder holds another
            benchmark's cells, or another process is running in it.
    """
    chosen = benchmark.choose(cells) if cells else benchmark.cells
    seeds = tuple(seeds) or benchmark.seeds
    jobs = plan(benchmark, chosen, seeds, benchmark.folder)
    _check(benchmark, jobs)
    busy = f"{benchmark.folder}: another process runs a benchmark there"
    require_writable(benchmark.folder / "lock")
    with locked(benchmark.folder / "lock", busy):
        failed = _run(jobs, processes, log)
        done = [job for job in jobs if job.cell is not None and job.finished]
        times = time_composing(done)
        results = collect(benchmark, chosen, seeds, jobs, failed, times)
        save_results(results, benchmark.folder)
    return results


def _check(benchmark: BenchmarkRecipe, jobs: Sequence[Job]) -> None:
    """Check that the remaining jobs can start; all of them share the data of one."""
    dataset = jobs[-1].open_dataset()  # the last is a cell
    dataset.check_protocol(benchmark.protocol)
    measures = measure_names(dataset, benchmark.protocol)
    for name in benchmark.compare_by:
        if name not in measures:
            raise unknown_choice("figure in compare_by", name, measures)
    for job in jobs:
        if job.recipe is not None and job.cell is not None:
            check_apart(job.recipe.dataset.open("train"), dataset)
            break
    check_folders(jobs)
    left = [job.recipe for job in jobs if job.recipe is not None and not job.finished]
    if left:
        check_run(left[0])


def check_apart(train: Dataset, measured: Dataset) -> None:
    """Check that no query that is measured is one to train on.

    Raises:
        TMCIRError: Some are; the message has their number.
    """
    if (train.name, train.root) != (measured.name, measured.root):
        return
    seen = {(one.reference, one.text, one.target) for one in train.triplets}
    both = sum((one.reference, one.text, one.target) in seen for one in measured.triplets)
    if both:
        raise TMCIRError(
            f"{both:,} of the {len(measured.triplets):,} measured queries of {measured.name}"
            f" {measured.split} are in its training split: choose another split, such as split=val"
        )


def _run(jobs: Sequence[Job], processes: int, log: Log) -> dict[Path, str]:
    """Run the remaining jobs; return the reasons of failed ones by folder."""
    failed: dict[Path, str] = {}
    labels = {job.folder: job.label for job in jobs}
    left = [job for job in jobs if not job.finished]
    total, done = len(left), 0
    threads = max(1, (os.cpu_count() or 1) // processes)
    with ThreadPoolExecutor(processes) as pool:
        running: dict[Future[str | None], Job] = {}
        while left or running:
            for job in [job for job in left if _ready(job, failed)][: processes - len(running)]:
                left.remove(job)
                missing = [folder for folder in job.needs if folder in failed]
                if missing:
                    failed[job.folder] = f"{labels[missing[0]]}: {failed[missing[0]]}"
                    done += 1
                    log(f"[{done}/{total}] {job.label}: failed: {failed[job.folder]}")
                elif processes == 1:
                    running[_finished(_run_here(job))] = job
                else:
                    running[pool.submit(run_in_process, job, job.folder / LOG, threads)] = job
            for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                job, reason = running.pop(future), future.result()
                done += 1
                if reason is not None:
                    failed[job.folder] = reason
                log(f"[{done}/{total}] {job.label}: {_outcome(job, reason)}")
    return failed


def _ready(job: Job, failed: dict[Path, str]) -> bool:
    return all((folder / REPORT).exists() or folder in failed for folder in job.needs)


def _finished(reason: str | None) -> Future[str | None]:
    future: Future[str | None] = Future()
    future.set_result(reason)
    return future


def _run_here(job: Job) -> str | None:
    """Run a job in this process, its output in its log; return why it failed, or None."""
    job.folder.mkdir(parents=True, exist_ok=True)
    with (job.folder / LOG).open("a", encoding="utf-8") as file, redirect_stdout(file):
        return attempt(job, file)


def _outcome(job: Job, reason: str | None) -> str:
    if reason is not None:
        return f"failed: {reason}"
    report = CellReport.load(job.folder / REPORT)
    figure = ""
    if report.report is not None:
        figure = f"{report.report.headline} {report.report.score:.2f}, "
    return f"{figure}trained for {report.train_seconds / 60:.1f} min"
