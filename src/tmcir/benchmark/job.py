"""Running one job: train, measure, save the measures of each query, write the report last."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import TextIO

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from tmcir.benchmark.plan import JOB, LOG, REPORT, TRAINING, Job
from tmcir.core.errors import TMCIRError, first_line
from tmcir.core.files import locked, write_bytes, write_json
from tmcir.core.json_files import check, read_json
from tmcir.data.dataset import Dataset, Task
from tmcir.evaluation import Report, score_weights, validation_score
from tmcir.evaluation.balance import measure_balance, summarise_balance, swapped_tasks
from tmcir.evaluation.embedding import OWN_METHOD, Embeddings, embed
from tmcir.evaluation.interventions import measure_interventions
from tmcir.evaluation.protocols import Values, rank_answers
from tmcir.evaluation.scoring import measure_queries, report_of
from tmcir.models import TMCIR, load
from tmcir.training import train
from tmcir.training.building import count_trained

FORMAT = "tmcir-benchmark-cell-2"
QUERIES = "queries.parquet"
SECONDS = "seconds.json"
# Interval of saving the training time: a killed run loses at most this.
_SAVE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class CellReport:
    """The result of one cell with one seed.

    Attributes:
        cell: Name of the cell; empty for towers that cells share.
        seed: The seed.
        train_seconds: Time of the job's own training, over all its runs.
        trained: Number of weights that the job's own stages trained.
        weights: Number of weights of the model.
        report: The evaluation; None for towers that cells share.
        interventions: Figures in percent, by intervention and name; empty where a method reads no
            tokens.
    """

    cell: str
    seed: int
    train_seconds: float
    trained: int = 0
    weights: int = 0
    report: Report | None = None
    interventions: dict[str, dict[str, float]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the JSON file, atomically."""
        report = None if self.report is None else self.report.as_dict()
        write_json(path, {"format": FORMAT, **asdict(self), "report": report})

    @classmethod
    def load(cls, path: Path) -> CellReport:
        """Read the JSON file.

        Raises:
            TMCIRError: There is no such file, or it is no such report.
        """
        content = read_json(path)
        where = f"{path}: not the report of a cell"
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise TMCIRError(f"{where}: not of the format {FORMAT}")
        return check(content, where, cls)


def run_job(job: Job) -> None:
    """Run a job, or resume it where an earlier run stopped.

    Raises:
        TMCIRError: Something that it needs is missing or does not fit.
    """
    with locked(job.folder / "lock"):
        if job.finished:
            return
        if job.claimed_by_another():
            raise TMCIRError(f"{job.folder} holds a run with other settings")
        write_json(job.folder / JOB, job.model_dump(mode="json"))
        if job.recipe is not None:
            with _stopwatch(job.folder / SECONDS):
                train(job.recipe, validation_score, score_weights)
        _finish(job).save(job.folder / REPORT)
        _remove_checkpoints(job.folder / TRAINING)


def attempt(job: Job, log: TextIO) -> str | None:
    """Run a job; return why it failed, or None. Tracebacks go to the log."""
    try:
        run_job(job)
    except TMCIRError as error:
        return str(error)
    except Exception as error:  # of any library: the other cells continue
        traceback.print_exc(file=log)
        return f"{type(error).__name__}: {first_line(error)}; see {job.folder / LOG}"
    return None


def read_queries(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Return the measures of each query of a cell by task and name, float64 [Q].

    Raises:
        TMCIRError: The file is missing or broken.
    """
    try:
        table = pq.read_table(folder / QUERIES)
        tasks = table["task"].to_pylist()
        names = [name for name in table.column_names if name not in ("task", "query", "cluster")]
        columns = {
            name: torch.tensor(table[name].to_pylist(), dtype=torch.float64) for name in names
        }
    except (OSError, KeyError, pa.ArrowException) as error:
        raise TMCIRError(f"{folder / QUERIES}: not readable: {error}") from None
    found = {}
    for task in dict.fromkeys(tasks):
        rows = torch.tensor([task == own for own in tasks])
        found[task] = {name: values[rows] for name, values in columns.items()}
    return found


def read_clusters(folder: Path) -> dict[str, list[str]]:
    """Return the cluster of each query of a cell, by task.

    Raises:
        TMCIRError: The file is missing or broken.
    """
    try:
        table = pq.read_table(folder / QUERIES, columns=["task", "cluster"])
    except (OSError, KeyError, pa.ArrowException) as error:
        raise TMCIRError(f"{folder / QUERIES}: not readable: {error}") from None
    found: dict[str, list[str]] = {}
    for row in table.to_pylist():
        found.setdefault(row["task"], []).append(row["cluster"])
    return found


def _finish(job: Job) -> CellReport:
    """Measure the model of a job; shared towers have a time only."""
    seconds = _seconds(job.folder / SECONDS)
    if job.cell is None:
        return CellReport("", job.seed, seconds)
    model = load(job.model)
    report = _measure(job, model)
    weights = sum(parameter.numel() for parameter in model.parameters())
    trained = 0 if job.recipe is None else count_trained(job.recipe, model)
    changed = measure_interventions(model, job.open_dataset(), job.protocol)
    interventions = changed if job.compose == OWN_METHOD else {}
    return CellReport(job.cell, job.seed, seconds, trained, weights, report, interventions)


def _measure(job: Job, model: TMCIR) -> Report:
    """Measure a model, and save the measures of each query beside the report."""
    dataset = job.open_dataset()
    tasks = dataset.tasks(job.protocol)
    embeddings = embed(model, dataset, [*tasks, *swapped_tasks(tasks)], job.compose)
    measured = measure_queries(embeddings, dataset, job.protocol)
    balance = [measure_balance(embeddings, dataset, task) for task, _ in measured]
    method = model.method if job.compose == OWN_METHOD else job.compose
    report = report_of(measured, dataset, job.protocol, model.name, method)
    rows = [
        _rows(embeddings, dataset, task, {**values, **leaning})
        for (task, values), leaning in zip(measured, balance, strict=True)
    ]
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables(rows, promote_options="default"), buffer)
    write_bytes(job.folder / QUERIES, buffer.getvalue().to_pybytes())
    return report.with_balance(summarise_balance(balance))


def _rows(embeddings: Embeddings, dataset: Dataset, task: Task, values: Values) -> pa.Table:
    ranks = rank_answers(task, embeddings.of_queries(task), embeddings.of_gallery(task)) + 1
    columns = {
        "task": [task.name] * len(task.triplets),
        "query": [triplet.id for triplet in task.triplets],
        "cluster": [dataset.cluster_of(triplet) for triplet in task.triplets],
        "rank": ranks.tolist(),
    }
    return pa.table(columns | {name: column.numpy() for name, column in values.items()})


@contextmanager
def _stopwatch(file: Path) -> Iterator[None]:
    """Add the time of the block to that in the file; a kill loses a few seconds."""
    before, began, ended = _seconds(file), monotonic(), threading.Event()

    def write() -> None:
        write_json(file, before + monotonic() - began)

    def keep_writing(wait: Callable[[float], bool]) -> None:
        while not wait(_SAVE_SECONDS):
            write()

    writer = threading.Thread(target=keep_writing, args=(ended.wait,), daemon=True)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()
        write()


def _seconds(file: Path) -> float:
    return float(read_json(file)) if file.exists() else 0.0


def _remove_checkpoints(training: Path) -> None:
    """Remove checkpoints, which have several times the size of the model."""
    for pattern in ("*/checkpoint.safetensors", "*/best.safetensors"):
        for file in training.glob(pattern):
            file.unlink(missing_ok=True)
