"""The report of an evaluation: figures with intervals, and the facts to read them by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tmcir.core.errors import TMCIRError
from tmcir.core.files import write_text
from tmcir.core.json_files import check, read_json
from tmcir.data.dataset import Task
from tmcir.evaluation.balance import Balance
from tmcir.evaluation.bootstrap import LEVEL, RESAMPLES, SEED, Metric, interval, resampled_means
from tmcir.evaluation.protocols import Protocol, Values

FORMAT = "tmcir-report-1"


@dataclass(frozen=True, slots=True)
class Part:
    """The metrics of a set of queries: a category, a kind of query, or all of them.

    Attributes:
        name: The category or kind; ``all``, or ``average`` over the parts.
        queries: Number of queries.
        gallery: Number of gallery images (of all categories together for ``average``).
        metrics: Metrics by name.
    """

    name: str
    queries: int
    gallery: int
    metrics: dict[str, Metric]


@dataclass(frozen=True, slots=True)
class Report:
    """The result of one evaluation.

    Attributes:
        dataset: Name of the dataset.
        split: The split.
        protocol: Name of the protocol.
        model: Name of the model.
        method: The composition method, such as ``tmcir`` or ``sum``.
        headline: Name of the metric that summarises the report.
        overall: Figures over all queries, or averaged over the categories.
        parts: Figures per category or kind; empty where there is only one.
        notes: Facts that a reader must know, such as missing images.
        resamples: Bootstrap samples of the intervals.
        seed: Seed of those samples.
        balance: How far queries follow image and text, where measured.
    """

    dataset: str
    split: str
    protocol: str
    model: str
    method: str
    headline: str
    overall: Part
    parts: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()
    resamples: int = RESAMPLES
    seed: int = SEED
    balance: Balance | None = None

    @property
    def score(self) -> float:
        """The overall headline metric in percent."""
        return self.overall.metrics[self.headline].value

    def with_balance(self, balance: Balance) -> Report:
        """Return the same report with the balance of its queries."""
        return replace(self, balance=balance)

    def as_dict(self) -> dict[str, Any]:
        """Return the content of the JSON file."""
        content = {"format": FORMAT, **asdict(self), "level": LEVEL}
        if self.balance is None:
            del content["balance"]
        return content

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return json.dumps(self.as_dict(), indent=2) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the JSON file."""
        write_text(Path(path), self.to_json())

    @classmethod
    def from_dict(cls, content: Any) -> Report:
        """Rebuild a report from the content of its JSON file.

        Raises:
            TMCIRError: It is not the content of a report.
        """
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise TMCIRError(f"not a report of the format {FORMAT}")
        return check(content, "a report with a missing or malformed field", cls)

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Read the JSON file.

        Raises:
            TMCIRError: There is no such file, or it is not a report.
        """
        content = read_json(Path(path))
        try:
            return cls.from_dict(content)
        except TMCIRError as error:
            raise TMCIRError(f"{path}: {error}") from None

    def __str__(self) -> str:
        """Return a plain-text table: one column per part, or one row if that is narrower."""
        head = (
            f"{self.dataset} {self.split}, protocol {self.protocol}; "
            f"model {self.model}, method {self.method}"
        )
        foot = f"percent, with {LEVEL:.0%} bootstrap intervals over queries"
        notes = [f"note: {note}" for note in self.notes]
        balance = [] if self.balance is None else ["", str(self.balance)]
        return "\n".join([head, "", *_lines(self._cells()), "", foot, *notes, *balance])

    def _cells(self) -> list[list[str]]:
        columns = [*self.parts, self.overall]
        cells = [
            ["", *(part.name for part in columns)],
            ["queries", *(f"{part.queries:,}" for part in columns)],
            ["gallery", *(f"{part.gallery:,}" for part in columns)],
            *([name, *(str(part.metrics[name]) for part in columns)] for name in self._names()),
        ]
        return (
            cells
            if len(cells[0]) <= len(cells)
            else [list(row) for row in zip(*cells, strict=True)]
        )

    def _names(self) -> Sequence[str]:
        return list(self.overall.metrics)


def summarise(
    measured: Sequence[tuple[Task, Values]], protocol: Protocol
) -> tuple[Part, list[Part]]:
    """Summarise measures of queries as the overall part and its parts.

    Several tasks are averaged with equal weight, independent of their numbers of queries, as is
    usual; each is resampled on its own. Of a single task, the kinds of query are the parts.

    Raises:
        TMCIRError: A task has no queries.
    """
    names, parts, samples = _measure_names(measured), [], []
    for place, (task, values) in enumerate(measured):
        table = _table(task.name, values, names)
        samples.append(resampled_means(table, seed=SEED + place))
        parts.append(_part(task.name, len(table), len(task.gallery), names, table, samples[-1]))
    if len(parts) == 1:
        only, (task, values) = parts[0], measured[0]
        kinds = _kinds(task, _table(task.name, values, names), names) if protocol.by_kind else []
        return Part("all", only.queries, only.gallery, only.metrics), kinds
    value = torch.tensor([[part.metrics[name].value / 100 for name in names] for part in parts])
    average = _part(
        "average",
        sum(part.queries for part in parts),
        sum(part.gallery for part in parts),
        names,
        value,
        torch.stack(samples).mean(dim=0),
    )
    return average, parts


def _kinds(task: Task, table: Tensor, names: list[str]) -> list[Part]:
    """Return a part for every kind of query, if the queries have kinds at all."""
    found = sorted({triplet.kind for triplet in task.triplets})
    if found == [""]:
        return []
    parts = []
    for place, kind in enumerate(found, start=1):
        rows = torch.tensor([triplet.kind == kind for triplet in task.triplets])
        own = table[rows]
        samples = resampled_means(own, seed=SEED + place)
        parts.append(_part(kind or "other", len(own), len(task.gallery), names, own, samples))
    return parts


def _part(
    name: str, queries: int, gallery: int, names: list[str], values: Tensor, samples: Tensor
) -> Part:
    """Build a part from rows whose mean is the value, [rows, M], and resampled means [B, M]."""
    columns = zip(names, values.double().mean(dim=0), *interval(samples), strict=True)
    metrics = {
        measure: Metric(100 * value.item(), 100 * low.item(), 100 * high.item())
        for measure, value, low, high in columns
    }
    return Part(name, queries, gallery, metrics)


def _measure_names(measured: Sequence[tuple[Task, Values]]) -> list[str]:
    if not measured:
        raise TMCIRError("there is nothing to evaluate: the dataset gives no tasks")
    # Measures that only some tasks have, because others have no judgements, have no average.
    return [name for name in measured[0][1] if all(name in values for _, values in measured)]


def _table(task: str, values: Values, names: list[str]) -> Tensor:
    """Return the measures as columns, float64 [Q, M]."""
    table = torch.stack([values[name] for name in names], dim=1).double()
    if not len(table):
        raise TMCIRError(f"{task} has no queries to evaluate")
    return table


def _lines(cells: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in cells
    ]
