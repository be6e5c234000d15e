"""Evaluating a model on a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from tmcir.core.progress import Progress
from tmcir.data.dataset import Dataset, Task
from tmcir.evaluation.balance import measure_balance, summarise_balance, swapped_tasks
from tmcir.evaluation.embedding import (
    OWN_METHOD,
    Embeddings,
    embed,
    is_own,
    recompose,
)
from tmcir.evaluation.intent import measure_intent
from tmcir.evaluation.protocols import Protocol, Values, find_protocol, right_answers
from tmcir.evaluation.report import Report, summarise

if TYPE_CHECKING:
    from tmcir.models.tmcir import TMCIR


def evaluate(
    model: TMCIR,
    dataset: Dataset,
    protocol: str | None = None,
    method: str = OWN_METHOD,
    batch_size: int = 64,
    progress: Progress | None = None,
    balance: bool = False,
) -> Report:
    """Measure a model by a protocol of the dataset.

    Args:
        model: The model.
        dataset: A split whose labels are known.
        protocol: One of ``dataset.protocols``; None takes the first.
        method: ``model`` for the model's own method (the report has its name), or a baseline over
            its towers: image, text, sum.
        batch_size: Images encoded at once.
        progress: Called after every batch of images.
        balance: Also measure how far the queries follow image and text.

    Raises:
        TMCIRError: The protocol or method is unknown, the labels are hidden, or embeddings are
            not finite.
        ImageError: Images are missing (checked before anything is encoded), or one is broken.
    """
    tasks = _tasks(dataset, protocol)
    swapped = swapped_tasks(tasks) if balance else []
    embeddings = embed(model, dataset, [*tasks, *swapped], method, batch_size, progress)
    used = model.method if method == OWN_METHOD else method
    report = score(embeddings, dataset, protocol, model.name, used)
    if not balance:
        return report
    measured = [measure_balance(embeddings, dataset, task) for task in tasks]
    return report.with_balance(summarise_balance(measured))


def evaluate_methods(
    model: TMCIR,
    dataset: Dataset,
    methods: Sequence[str],
    protocol: str | None = None,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> list[Report]:
    """Measure several methods over the same towers, encoding each image and text once.

    Args:
        model: The model.
        dataset: A split whose labels are known.
        methods: ``model`` for the model's own method, and baselines: image, text, sum.
        protocol: One of ``dataset.protocols``; None takes the first.
        batch_size: Images encoded at once.
        progress: Called after every batch of images.

    Returns:
        One report per method, in order, equal to that of ``evaluate``.

    Raises:
        TMCIRError: As ``evaluate``.
        ImageError: As ``evaluate``.
    """
    own_methods = {method for method in methods if is_own(model, method)}
    tasks = _tasks(dataset, protocol)
    own = embed(model, dataset, tasks, OWN_METHOD, batch_size, progress)
    reports = []
    for method in methods:
        found = own if method in own_methods else recompose(own, tasks, method)
        used = model.method if method in own_methods else method
        reports.append(score(found, dataset, protocol, model.name, used))
    return reports


def _tasks(dataset: Dataset, protocol: str | None) -> list[Task]:
    """Return the tasks; hidden labels are an error before anything is encoded."""
    tasks = dataset.tasks(protocol)
    for task in tasks:
        if task.triplets:
            right_answers(task.triplets[0])
    return tasks


def score(
    embeddings: Embeddings,
    dataset: Dataset,
    protocol: str | None = None,
    model: str = "",
    method: str = OWN_METHOD,
) -> Report:
    """Apply a protocol to embeddings that are already there.

    Args:
        embeddings: Of all queries and gallery images of the protocol.
        dataset: The dataset.
        protocol: One of ``dataset.protocols``; None takes the first.
        model: Name of the model, for the report.
        method: Name of the method, for the report.

    Raises:
        TMCIRError: The protocol is unknown, the labels are hidden, or embeddings are not finite.
    """
    return report_of(
        measure_queries(embeddings, dataset, protocol), dataset, protocol, model, method
    )


def report_of(
    measured: Sequence[tuple[Task, Values]],
    dataset: Dataset,
    protocol: str | None = None,
    model: str = "",
    method: str = OWN_METHOD,
) -> Report:
    """Summarise the result of ``measure_queries``; the other arguments are those of ``score``.

    Raises:
        TMCIRError: The protocol is unknown, or a task has no queries.
    """
    rules = find_protocol(dataset.check_protocol(protocol))
    overall, parts = summarise(measured, rules)
    return Report(
        dataset=dataset.name,
        split=dataset.split,
        protocol=rules.name,
        model=model,
        method=method,
        headline=rules.headline,
        overall=overall,
        parts=tuple(parts),
        notes=dataset.notes,
    )


def measure_queries(
    embeddings: Embeddings, dataset: Dataset, protocol: str | None = None
) -> list[tuple[Task, Values]]:
    """Return the measures of each query, by task.

    Raises:
        TMCIRError: As ``score``.
    """
    rules = find_protocol(dataset.check_protocol(protocol))
    return [(task, _measure(embeddings, dataset, task, rules)) for task in dataset.tasks(protocol)]


def measure_names(dataset: Dataset, protocol: str | None = None) -> list[str]:
    """Return the names of a protocol's measures on a dataset, without any embeddings.

    Raises:
        TMCIRError: The protocol is unknown, or the labels are hidden.
    """
    rules = find_protocol(dataset.check_protocol(protocol))
    found = []
    for task in dataset.tasks(protocol):
        # The names of measures do not depend on the queries.
        one = replace(task, triplets=task.triplets[:1])
        zeros = torch.zeros(len(task.gallery), 1)
        values = rules.measure(one, zeros[:1], zeros)
        found.append([*values, *measure_intent(dataset, one, zeros[:1], zeros)])
    return [name for name in found[0] if all(name in names for names in found)] if found else []


def _measure(embeddings: Embeddings, dataset: Dataset, task: Task, rules: Protocol) -> Values:
    queries, gallery = embeddings.of_queries(task), embeddings.of_gallery(task)
    values = rules.measure(task, queries, gallery)
    return values | measure_intent(dataset, task, queries, gallery)


def validation_score(model: TMCIR, dataset: Dataset) -> tuple[str, float]:
    """Return the name and the value, in percent, of the dataset's headline metric."""
    report = evaluate(model, dataset)
    return report.headline, report.score
