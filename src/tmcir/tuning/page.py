"""The page of a tuning: figures, a dozen queries before and after, and what fails."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tmcir.core.images import thumbnail
from tmcir.core.pages import render
from tmcir.data.catalogue import Catalogue
from tmcir.data.dataset import Task, Triplet
from tmcir.evaluation.embedding import Embeddings
from tmcir.evaluation.metrics import average_precision_at, score_chunks, top
from tmcir.evaluation.protocols import GalleryIndex
from tmcir.tuning.figures import COLUMNS, Comparison
from tmcir.tuning.result import Tuned
from tmcir.tuning.settings import TuneSettings

_SIDE = 160  # pixels
_RESULTS = 6
_QUERIES = 12
_FAILURES = 6
_LENGTH = 10


def render_page(settings: TuneSettings, tuned: Tuned, compared: Comparison, test: Catalogue) -> str:
    """Return an HTML page that needs nothing else."""
    (task,) = test.tasks()
    before, after = (_ranking(task, one) for one in (compared.before, compared.after))
    quality = average_precision_at(after, GalleryIndex(task).answers(), _LENGTH)
    before, after = before[:, :_RESULTS], after[:, :_RESULTS]
    chosen = _spread(task.triplets, range(len(task.triplets)), _QUERIES)
    failed = [row for row in quality.argsort().tolist() if quality[row] == 0]
    failed = _spread(task.triplets, [row for row in failed if row not in chosen], _FAILURES)
    return render(
        "tmcir.tuning",
        "tune.html",
        name=settings.output.name,
        model=settings.model_name,
        better=tuned.better,
        gain=str(compared.gain),
        verdict=compared.verdict,
        columns=COLUMNS,
        rows=[(name, figures) for name, *figures in compared.rows()],
        by_column=[(name, figures) for name, *figures in compared.column_rows()],
        queries=len(task.triplets),
        gallery=len(task.gallery),
        taken=tuned.columns,
        left_out=tuned.left_out,
        answers=[_shown(test, task, row, before, after) for row in chosen],
        failures=[_shown(test, task, row, before, after) for row in failed],
        failed=int((quality == 0).sum()),
    )


def _spread(triplets: Sequence[Triplet], rows: Sequence[int], count: int) -> list[int]:
    """Return the first queries of each kind in turn, independent of any model."""
    by_kind: dict[str, list[int]] = {}
    for row in rows:
        by_kind.setdefault(triplets[row].kind, []).append(row)
    chosen: list[int] = []
    while len(chosen) < count and any(by_kind.values()):
        for found in by_kind.values():
            if found and len(chosen) < count:
                chosen.append(found.pop(0))
    return chosen


def _ranking(task: Task, embeddings: Embeddings) -> torch.Tensor:
    """Return the first photos of each query, long [Q, 10]."""
    queries, gallery = embeddings.of_queries(task), embeddings.of_gallery(task)
    chunks = score_chunks(queries, gallery, GalleryIndex(task).removed())
    return torch.cat([top(scores, _LENGTH) for _, scores in chunks])


def _shown(
    test: Catalogue, task: Task, row: int, before: torch.Tensor, after: torch.Tensor
) -> dict[str, object]:
    triplet = task.triplets[row]
    return {
        "text": triplet.text,
        "kind": triplet.kind,
        "reference": thumbnail(test.image_path(triplet.reference), _SIDE),
        "words": test.describe(triplet.reference),
        "rights": len(triplet.answers),
        "lists": [
            (name, [_result(test, task, triplet, place) for place in found[row].tolist()])
            for name, found in (("before", before), ("after", after))
        ],
    }


def _result(test: Catalogue, task: Task, triplet: Triplet, place: int) -> dict[str, object] | None:
    if place < 0:
        return None
    name = task.gallery[place]
    return {
        "picture": thumbnail(test.image_path(name), _SIDE),
        "right": name in triplet.answers,
        "words": test.describe(name),
    }
