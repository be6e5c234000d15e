"""Intent balance: how far queries follow image and text (METHOD.md section 6).

Letters used in shapes: Q queries, G gallery images, D joint embedding size.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tmcir.core.errors import TMCIRError
from tmcir.data.dataset import Dataset, Judgement, Task, Triplet
from tmcir.evaluation.bootstrap import Metric, interval, resampled_means
from tmcir.evaluation.embedding import Embeddings
from tmcir.evaluation.intent import judge_results
from tmcir.evaluation.metrics import answer_ranks, remove, score_chunks, top
from tmcir.evaluation.protocols import GalleryIndex, Values

SEED = 0
# A query takes image and text from two others.
_MIN_QUERIES = 3
_IMAGE, _TEXT, _NEITHER = "image", "text", "neither"

LABELS = {
    "similarity_to_image": "cosine of the query and its image",
    "similarity_to_text": "cosine of the query and its text",
    "similarity_to_target": "cosine of the query and its target",
    "image_contribution": "what the image adds to the target's score, in standard deviations",
    "text_contribution": "what the text adds to the target's score, in standard deviations",
    "image_share": "share of the image in both, in percent",
    "reference_first": "queries whose first result would be the reference itself, in percent",
    "text_answer_first": "queries whose first result is that of the text alone, in percent",
    "reference_rank": "rank of the reference itself, geometric mean",
    "text_answer_rank": "rank of the text's own first result, geometric mean",
    "kept_too_much": "first results that keep more than they change, in percent",
    "changed_too_much": "first results that change more than they keep, in percent",
    "missed_alike": "first results that miss equally much of both, in percent",
}
"""Each figure and its description."""

_PERCENT = (
    "reference_first",
    "text_answer_first",
    "kept_too_much",
    "changed_too_much",
    "missed_alike",
)
_RANKS = ("reference_rank", "text_answer_rank")


@dataclass(frozen=True, slots=True)
class Balance:
    """How far the queries of an evaluation follow image and text.

    Attributes:
        queries: Number of queries.
        figures: Those of ``LABELS`` that could be measured, in the units named there.
    """

    queries: int
    figures: dict[str, Metric]

    def __str__(self) -> str:
        """Return a table of plain text."""
        named = [(LABELS[name], metric) for name, metric in self.figures.items()]
        width = max((len(label) for label, _ in named), default=0)
        rows = [f"{label.ljust(width)}  {_shown(metric)}" for label, metric in named]
        return "\n".join([f"balance between image and text, {self.queries:,} queries", "", *rows])


def swapped_tasks(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks that ``measure_balance`` needs embedded in addition to ``tasks``.

    Three for each query: its image with another query's text, its text with another query's image,
    and image and text of two other queries. A fixed seed chooses the others. None of these tasks
    has a gallery.

    Raises:
        TMCIRError: A task has fewer than three queries.
    """
    return [swapped for task in tasks for swapped in _swap(task).values()]


def measure_balance(embeddings: Embeddings, dataset: Dataset, task: Task) -> Values:
    """Return measures of each query's balance.

    Let v(S) be the score of the target for a query that has the modalities S of its own and the
    others of another query. The contributions are the Shapley values of the two-player game v: they
    add up to v(both) - v(neither), and a modality that a method ignores contributes 0:

        image: 1/2 [v(image) - v(neither)] + 1/2 [v(both) - v(text)]                           (6)
        text:  1/2 [v(text) - v(neither)]  + 1/2 [v(both) - v(image)]

    Scores are in standard deviations above the mean of the query's own ranking, so that methods and
    models compare.

    Args:
        embeddings: Of the task, and of ``swapped_tasks``.
        dataset: Judges first results where attributes are known.
        task: The task.

    Returns:
        Measures by name, float64 [Q]. ``image_share`` is not among them, because it is no mean over
        queries. There are no ranks of the reference if one is not in the gallery, and no failures
        if no image can be judged. Of several right answers, the target counts.

    Raises:
        TMCIRError: Embeddings are missing or not finite, or the task has fewer than three queries.
    """
    queries, gallery = embeddings.of_queries(task), embeddings.of_gallery(task)
    texts, index = embeddings.of_texts(task), GalleryIndex(task)
    targets = index.targets()[:, 0]
    known = {
        part: target_scores(embeddings.of_queries(other), gallery, targets, index.removed())
        for part, other in _swap(task).items()
    }
    both = target_scores(queries, gallery, targets, index.removed())
    image, text = shapley(known[_NEITHER], known[_IMAGE], known[_TEXT], both)
    values = {
        "similarity_to_image": _cosines(queries, embeddings.of_references(task)),
        "similarity_to_text": _cosines(queries, texts),
        "similarity_to_target": _cosines(queries, gallery[targets]),
        "image_contribution": image,
        "text_contribution": text,
    }
    values |= _ranks(queries, texts, gallery, index)
    return values | _failures(judge_results(dataset, task, queries, gallery, 1))


def shapley(neither: Tensor, image: Tensor, text: Tensor, both: Tensor) -> tuple[Tensor, Tensor]:
    """Return the contributions of image and text, equation (6) of METHOD.md.

    Args:
        neither: float [Q], the value of neither modality.
        image: float [Q], that of the image alone.
        text: float [Q], that of the text alone.
        both: float [Q], that of both.

    Returns:
        float [Q] of the image, and of the text; they add up to ``both - neither``.
    """
    return (image - neither + both - text) / 2, (text - neither + both - image) / 2


def target_scores(
    queries: Tensor, gallery: Tensor, targets: Tensor, removed: Tensor | None
) -> Tensor:
    """Return by how many standard deviations each target's score lies above its ranking's mean.

    Args:
        queries: float [Q, D].
        gallery: float [G, D].
        targets: long [Q], places in the gallery.
        removed: long [Q], the image that leaves each ranking, -1 for none; it is not counted in
            mean and deviation.

    Returns:
        float64 [Q]; 0 where all scores of a ranking are equal.

    Raises:
        TMCIRError: An embedding is not finite.
    """
    found = [torch.empty(0, dtype=torch.float64)]
    for rows, scores in score_chunks(queries, gallery):
        own = scores.gather(1, targets[rows, None]).squeeze(1).double()
        if removed is not None:
            remove(scores, removed[rows])
        ranked = scores > -torch.inf
        values, count = scores.double().masked_fill(~ranked, 0), ranked.sum(dim=1)
        mean = values.sum(dim=1) / count
        variance = ((values - mean[:, None]).square() * ranked).sum(dim=1) / count
        # Rounding of equal scores is no deviation.
        deviation = variance.sqrt().masked_fill(variance < 1e-12, torch.inf)
        found.append((own - mean) / deviation)
    return torch.cat(found)


def summarise_balance(measured: Sequence[Values]) -> Balance:
    """Turn the measures of all queries of all tasks into figures with 95% intervals.

    All queries of all tasks have the same weight. The share of the image is its mean contribution
    over the sum of both means; it is omitted unless that sum is positive.

    Args:
        measured: What ``measure_balance`` returned for each task.

    Raises:
        TMCIRError: There are no queries.
    """
    names = [name for name in LABELS if all(name in values for values in measured)]
    if not names:
        raise TMCIRError("there are no queries whose balance could be measured")
    table = torch.stack(
        [torch.cat([_averaged(name, values[name]) for values in measured]) for name in names], dim=1
    )  # [Q, M]
    means, samples = table.mean(dim=0, keepdim=True), resampled_means(table)
    figures = {
        name: _metric(name, means[:, column], samples[:, column])
        for column, name in enumerate(names)
    }
    image, text = names.index("image_contribution"), names.index("text_contribution")
    if bool((torch.cat([means, samples])[:, [image, text]].sum(dim=1) > 0).all()):
        shares = (
            100 * rows[:, image] / (rows[:, image] + rows[:, text]) for rows in (means, samples)
        )
        figures["image_share"] = _metric("image_share", *shares)
    return Balance(len(table), {name: figures[name] for name in LABELS if name in figures})


def _averaged(name: str, values: Tensor) -> Tensor:
    """Return the values to average over queries: ranks become logarithms."""
    return values.log() if name in _RANKS else values


def _metric(name: str, mean: Tensor, samples: Tensor) -> Metric:
    low, high = interval(samples[:, None])
    ends = torch.stack([mean[0], low[0], high[0]])
    ends = ends.exp() if name in _RANKS else 100 * ends if name in _PERCENT else ends
    return Metric(*ends.tolist())


def _swap(task: Task) -> dict[str, Task]:
    """Return the task's queries with only their image, only their text, and neither."""
    triplets, count = task.triplets, len(task.triplets)
    if count < _MIN_QUERIES:
        raise TMCIRError(
            f"{task.name} has {count} queries: balance takes images and texts of other queries,"
            f" and needs at least {_MIN_QUERIES}"
        )
    order = list(range(count))
    random.Random(SEED).shuffle(order)
    # In a ring in random order no query is its own neighbour, and each is a neighbour once.
    ring = [triplets[place] for place in order]
    first = {one.id: two for one, two in zip(ring, ring[1:] + ring[:1], strict=True)}
    second = {one.id: two for one, two in zip(ring, ring[2:] + ring[:2], strict=True)}

    def changed(part: str, triplet: Triplet) -> Triplet:
        image = triplet if part == _IMAGE else first[triplet.id]
        text = triplet if part == _TEXT else second[triplet.id]
        return replace(
            triplet,
            id=f"{triplet.id} ({part} alone)" if part != _NEITHER else f"{triplet.id} ({part})",
            reference=image.reference,
            text=text.text,
        )

    return {
        part: Task(f"{task.name} ({part})", [changed(part, one) for one in triplets], (), False)
        for part in (_IMAGE, _TEXT, _NEITHER)
    }


def _ranks(queries: Tensor, texts: Tensor, gallery: Tensor, index: GalleryIndex) -> Values:
    """Return the ranks of the reference and of the text's first result, 1 for the first place."""
    references, removed = index.references(), index.removed()
    of_reference, of_answer = [], []
    chunks = zip(score_chunks(queries, gallery), score_chunks(texts, gallery, removed), strict=True)
    for (rows, scores), (_, by_text) in chunks:
        of_reference.append(answer_ranks(scores, references[rows, None]))
        if removed is not None:
            remove(scores, removed[rows])
        of_answer.append(answer_ranks(scores, top(by_text, 1)))
    found = {"text_answer": torch.cat(of_answer)}
    if bool((references >= 0).all()):
        found["reference"] = torch.cat(of_reference)
    values = {f"{name}_rank": (ranks + 1).double() for name, ranks in found.items()}
    return values | {f"{name}_first": (ranks == 0).double() for name, ranks in found.items()}


def _failures(judged: Sequence[Sequence[Judgement]] | None) -> Values:
    """Return the kind of failure of each query's first result, if it fails."""
    if judged is None:
        return {}
    pairs = [(found[0].changed, found[0].kept) for found in judged]
    changed, kept = torch.tensor(pairs, dtype=torch.float64).view(-1, 2).unbind(dim=1)
    return {
        "kept_too_much": (changed < kept).double(),
        "changed_too_much": (kept < changed).double(),
        "missed_alike": ((changed == kept) & (changed < 1)).double(),
    }


def _cosines(left: Tensor, right: Tensor) -> Tensor:
    """Return the dot products of normalised embeddings [Q, D] row by row, float64 [Q]."""
    return (left.double() * right.double()).sum(dim=1)


def _shown(metric: Metric) -> str:
    return f"{metric.value:.2f} [{metric.low:.2f}, {metric.high:.2f}]"
