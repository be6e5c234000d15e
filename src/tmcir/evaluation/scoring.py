"""From a model and a dataset to a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tmcir.data.dataset import Dataset, Task
from tmcir.evaluation.embedding import OWN_METHOD, Embeddings, Progress, embed
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
) -> Report:
    """Measure a model by a protocol of the dataset.

    Args:
        model: The model.
        dataset: A split whose labels are known.
        protocol: One of ``dataset.protocols``; None takes the first.
        method: ``tmcir`` for the model's own method, whose name the report then gives; or a
            baseline over its towers: image, text, sum.
        batch_size: Images encoded at once.
        progress: Called after every batch of images.

    Raises:
        TMCIRError: The protocol or method is unknown, the labels are hidden, or embeddings are
            not finite.
        ImageError: Images are missing (all of them are counted before anything is encoded), or
            one is broken.
    """
    tasks = dataset.tasks(protocol)
    for task in tasks:
        if task.triplets:
            right_answers(task.triplets[0])
    embeddings = embed(model, dataset, tasks, method, batch_size, progress)
    used = model.method if method == OWN_METHOD else method
    return score(embeddings, dataset, protocol, model.name, used)


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
    rules = find_protocol(dataset.check_protocol(protocol))
    tasks = dataset.tasks(protocol)
    measured = [(task, _measure(embeddings, dataset, task, rules)) for task in tasks]
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


def _measure(embeddings: Embeddings, dataset: Dataset, task: Task, rules: Protocol) -> Values:
    queries, gallery = embeddings.of_queries(task), embeddings.of_gallery(task)
    values = rules.measure(task, queries, gallery)
    return values | measure_intent(dataset, task, queries, gallery)


def validation_score(model: TMCIR, dataset: Dataset) -> tuple[str, float]:
    """Return the name and the value, in percent, of the dataset's headline metric."""
    report = evaluate(model, dataset)
    return report.headline, report.score
