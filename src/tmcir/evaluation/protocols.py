"""Evaluation protocols (METHOD.md section 6): from embeddings to values per query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.data.dataset import Task, Triplet
from tmcir.evaluation.metrics import (
    answer_ranks,
    average_precision_at,
    recall_at,
    score_chunks,
    subset_scores,
    top,
)

FASHION_IQ_RECALLS = (10, 50)
CIRR_RECALLS = (1, 5, 10, 50)
CIRR_SUBSET_RECALLS = (1, 2, 3)
CIRCO_LENGTHS = (5, 10, 25, 50)
FASHION200K_RECALLS = (1, 10, 50)
RENDERED_LENGTH = 10

Values = dict[str, Tensor]
"""Measures by name; each is float64 [Q], in [0, 1], one value a query."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How the queries of a task are scored.

    Attributes:
        name: Its name in reports and for ``--protocol``.
        headline: The measure that summarises the protocol.
        measure: Takes a task, its queries' embeddings [Q, D] and its gallery's [G, D].
        by_kind: Whether reports also list the kinds of query (``Triplet.kind``).
    """

    name: str
    headline: str
    measure: Callable[[Task, Tensor, Tensor], Values]
    by_kind: bool = False


def right_answers(triplet: Triplet) -> tuple[str, ...]:
    """Return every right answer of a query: ``answers``, or else the target.

    Raises:
        TMCIRError: A test server hides the answer.
    """
    if triplet.answers:
        return triplet.answers
    if triplet.target is None:
        raise TMCIRError(
            f"query {triplet.id} has no target: the labels of this split are hidden; measure on"
            " another split, or for CIRR and CIRCO use `tmcir submit`"
        )
    return (triplet.target,)


class GalleryIndex:
    """Maps image names to their positions in a task's gallery.

    Args:
        task: The task.

    Raises:
        TMCIRError: The gallery is empty, or names an image twice.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._places = {name: place for place, name in enumerate(task.gallery)}
        if not self._places:
            raise TMCIRError(f"the gallery of {task.name} is empty")
        if len(self._places) < len(task.gallery):
            raise TMCIRError(f"the gallery of {task.name} names an image twice")

    def places(self, names: Sequence[Sequence[str]]) -> Tensor:
        """Return long [Q, maximum of names a query], padded with -1.

        Raises:
            TMCIRError: A name is not in the gallery.
        """
        rows = [[self._place(name, row) for name in found] for row, found in enumerate(names)]
        width = max((len(row) for row in rows), default=0)
        padded = [row + [-1] * (max(width, 1) - len(row)) for row in rows]
        return torch.tensor(padded, dtype=torch.long).view(len(rows), max(width, 1))

    def answers(self) -> Tensor:
        """Return every right answer, long [Q, A], each once."""
        return self.places([tuple(dict.fromkeys(right_answers(t))) for t in self._task.triplets])

    def targets(self) -> Tensor:
        """Return the targets, long [Q, 1]."""
        right = [(t.target,) if t.target is not None else right_answers(t) for t in self._triplets]
        return self.places(right)

    def subsets(self) -> Tensor:
        """Return the image sets without the references, long [Q, S]."""
        return self.places([triplet.subset for triplet in self._triplets])

    def removed(self) -> Tensor | None:
        """Return the references that leave the ranking, long [Q]; None where they stay."""
        return self.references() if self._task.remove_reference else None

    def references(self) -> Tensor:
        """Return the references, long [Q], -1 where one is not in the gallery."""
        return torch.tensor([self._places.get(t.reference, -1) for t in self._triplets]).long()

    @property
    def _triplets(self) -> Sequence[Triplet]:
        return self._task.triplets

    def _place(self, name: str, row: int) -> int:
        if name not in self._places:
            query = self._task.triplets[row].id
            raise TMCIRError(f"query {query}: image {name!r} is not in the gallery of its task")
        return self._places[name]


def measure_fashion_iq(task: Task, queries: Tensor, gallery: Tensor) -> Values:
    """Return R@10, R@50 and their mean for a category."""
    values = _recalls(rank_answers(task, queries, gallery), FASHION_IQ_RECALLS)
    return values | {"mean": (values["R@10"] + values["R@50"]) / 2}


def measure_fashion200k(task: Task, queries: Tensor, gallery: Tensor) -> Values:
    """Return R@1, R@10 and R@50; the best-ranked right answer counts."""
    return _recalls(rank_answers(task, queries, gallery), FASHION200K_RECALLS)


def measure_rendered(task: Task, queries: Tensor, gallery: Tensor) -> Values:
    """Return the recalls of Fashion200K, and mAP@10 over all right answers."""
    index = GalleryIndex(task)
    answers = index.answers()
    ranks, ranked = _rank(index, queries, gallery, answers, RENDERED_LENGTH)
    precision = average_precision_at(ranked, answers, RENDERED_LENGTH)
    return _recalls(ranks, FASHION200K_RECALLS) | {f"mAP@{RENDERED_LENGTH}": precision}


def measure_cirr(task: Task, queries: Tensor, gallery: Tensor) -> Values:
    """Return R@K, R_subset@K and (R@5 + R_subset@1)/2."""
    index = GalleryIndex(task)
    targets, subsets = index.targets(), index.subsets()
    ranks, subset_ranks = [], []
    for rows, scores in score_chunks(queries, gallery, index.removed()):
        ranks.append(answer_ranks(scores, targets[rows]))
        subset_ranks.append(answer_ranks(subset_scores(scores, subsets[rows]), targets[rows]))
    values = _recalls(_join(ranks), CIRR_RECALLS)
    values |= _recalls(_join(subset_ranks), CIRR_SUBSET_RECALLS, "R_subset")
    return values | {"(R@5 + R_subset@1)/2": (values["R@5"] + values["R_subset@1"]) / 2}


def measure_circo(task: Task, queries: Tensor, gallery: Tensor) -> Values:
    """Return mAP@K over all right answers, and R@K by the target alone."""
    index = GalleryIndex(task)
    answers = index.answers()
    ranks, ranked = _rank(index, queries, gallery, index.targets(), max(CIRCO_LENGTHS))
    values = {f"mAP@{k}": average_precision_at(ranked, answers, k) for k in CIRCO_LENGTHS}
    return values | _recalls(ranks, CIRCO_LENGTHS)


def rank_answers(task: Task, queries: Tensor, gallery: Tensor) -> Tensor:
    """Return the rank of each query's best-ranked right answer, long [Q], 0 for the first place."""
    index = GalleryIndex(task)
    answers = index.answers()
    chunks = score_chunks(queries, gallery, index.removed())
    return _join([answer_ranks(scores, answers[rows]) for rows, scores in chunks])


def find_protocol(name: str) -> Protocol:
    """Return a protocol by its name.

    Raises:
        TMCIRError: There is no such protocol.
    """
    if name not in PROTOCOLS:
        raise unknown_choice("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


def _rank(
    index: GalleryIndex, queries: Tensor, gallery: Tensor, answers: Tensor, length: int
) -> tuple[Tensor, Tensor]:
    """Return the best rank of the answers, long [Q], and the first images, long [Q, length]."""
    ranks, lists = [], []
    for rows, scores in score_chunks(queries, gallery, index.removed()):
        ranks.append(answer_ranks(scores, answers[rows]))
        lists.append(top(scores, length))
    return _join(ranks), torch.cat(lists) if lists else torch.empty(0, length).long()


def _recalls(ranks: Tensor, lengths: Sequence[int], name: str = "R") -> Values:
    return {f"{name}@{k}": recall_at(ranks, k) for k in lengths}


def _join(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.long)


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("original", "mean", measure_fashion_iq),
        Protocol("original-no-reference", "mean", measure_fashion_iq),
        Protocol("val", "mean", measure_fashion_iq),
        Protocol("cirr", "(R@5 + R_subset@1)/2", measure_cirr),
        Protocol("circo", "mAP@10", measure_circo),
        Protocol("fashion200k", "R@10", measure_fashion200k, by_kind=True),
        Protocol("rendered", "mAP@10", measure_rendered, by_kind=True),
        Protocol("same-kind", "R@10", measure_fashion200k),
        Protocol("catalogue", "mAP@10", measure_rendered, by_kind=True),
        Protocol("mixed", "R@10", measure_fashion200k),
    )
}
"""Every protocol by its name."""
