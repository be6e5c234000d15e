"""Files for the test servers of CIRR and CIRCO, whose labels are hidden (METHOD.md section 6)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.files import write_text
from tmcir.core.progress import Progress
from tmcir.data.circo import CIRCO, IMAGE_LIST
from tmcir.data.cirr import CIRR
from tmcir.data.dataset import Dataset, Task
from tmcir.data.datasets import open_dataset
from tmcir.evaluation.embedding import OWN_METHOD, Embeddings, embed
from tmcir.evaluation.metrics import score_chunks, subset_scores, top
from tmcir.evaluation.protocols import GalleryIndex

if TYPE_CHECKING:
    from tmcir.models.tmcir import TMCIR

CIRR_VERSION = "rc2"
LENGTH = 50
SUBSET_LENGTH = 3
_HIDDEN_SPLITS = {"cirr": "test1", "circo": "test"}
_RECALL, _RECALL_SUBSET = "recall", "recall_subset"

Submission = dict[str, Any]
"""The content of a file for a test server."""


def open_hidden_split(name: str, root: str | Path, split: str | None = None) -> Dataset:
    """Open a split that has a test server, and check that a submission is possible.

    Args:
        name: ``cirr`` or ``circo``.
        root: The dataset's folder.
        split: None takes the one with hidden labels.

    Raises:
        TMCIRError: The dataset has no test server, or a file is missing.
    """
    if name not in _HIDDEN_SPLITS:
        raise unknown_choice("dataset with a test server", name, _HIDDEN_SPLITS)
    dataset = open_dataset(name, root, split or _HIDDEN_SPLITS[name])
    require_gallery(dataset)
    return dataset


def submit(
    model: TMCIR,
    dataset: Dataset,
    folder: str | Path,
    method: str = OWN_METHOD,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> list[Path]:
    """Embed a split of CIRR or CIRCO and write its files; see ``write_submission``.

    Args:
        model: The model.
        dataset: The split.
        folder: Gets the files.
        method: ``model`` for the model's own method, or a baseline: image, text, sum.
        batch_size: Images encoded at once.
        progress: Called after every batch of images.

    Raises:
        TMCIRError: The dataset has no test server, COCO's image list is missing, or the method is
            unknown.
        ImageError: Images are missing or broken.
    """
    require_gallery(dataset)
    embeddings = embed(model, dataset, dataset.tasks(), method, batch_size, progress)
    return write_submission(embeddings, dataset, folder)


def write_submission(embeddings: Embeddings, dataset: Dataset, folder: str | Path) -> list[Path]:
    """Write the files of a test server, checked and atomically.

    Args:
        embeddings: Of all queries and gallery images of the dataset.
        dataset: A split of CIRR or CIRCO.
        folder: Gets the files.

    Returns:
        The files: for CIRR ``{split}_pred_ranks_recall.json`` and
        ``{split}_pred_ranks_recall_subset.json``, for CIRCO ``submission_{split}.json``.

    Raises:
        TMCIRError: The dataset has no test server, or COCO's image list is missing.
    """
    contents = build_submission(embeddings, dataset)
    for content in contents.values():
        check_submission(content, dataset)
    paths = [Path(folder) / name for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_text(path, json.dumps(content))
    return paths


def build_submission(embeddings: Embeddings, dataset: Dataset) -> dict[str, Submission]:
    """Return the content of each file by its name.

    Raises:
        TMCIRError: The dataset has no test server, or COCO's image list is missing.
    """
    require_gallery(dataset)
    (task,) = dataset.tasks()
    if isinstance(dataset, CIRR):
        head = {"version": CIRR_VERSION, "metric": _RECALL}
        subset_head = {"version": CIRR_VERSION, "metric": _RECALL_SUBSET}
        subset_lists = _lists(embeddings, task, SUBSET_LENGTH, in_subset=True)
        return {
            f"{dataset.split}_pred_ranks_recall.json": head | _lists(embeddings, task, LENGTH),
            f"{dataset.split}_pred_ranks_recall_subset.json": subset_head | subset_lists,
        }
    lists = _lists(embeddings, task, LENGTH)
    numbers = {query: [int(name) for name in names] for query, names in lists.items()}
    return {f"submission_{dataset.split}.json": numbers}


def require_gallery(dataset: Dataset) -> None:
    """Check that a submission for this dataset is possible.

    Raises:
        TMCIRError: The dataset has no test server, or its gallery is not complete.
    """
    if not isinstance(dataset, CIRR | CIRCO):
        raise TMCIRError(f"{dataset.name} has no test server: submissions are for cirr and circo")
    if isinstance(dataset, CIRCO) and not dataset.complete:
        raise TMCIRError(
            f"{dataset.root / IMAGE_LIST}: no such file; a submission ranks all of COCO's"
            " unlabelled images (https://github.com/miccunifi/CIRCO)"
        )


def check_submission(content: Submission, dataset: Dataset) -> None:
    """Check that a file has the format of the test server.

    Every query must have a list, and nothing else may be there. Lists must have the right length
    (less in a smaller gallery), no image twice, and only images of the ranking. CIRCO's images are
    checked against COCO's list where that file exists.

    Args:
        content: The file's content.
        dataset: The split that it answers.

    Raises:
        TMCIRError: Says what is wrong, and at which query.
    """
    if isinstance(dataset, CIRR):
        _check_cirr(content, dataset)
    elif isinstance(dataset, CIRCO):
        _check_circo(content, dataset)
    else:
        raise TMCIRError(f"{dataset.name} has no test server: submissions are for cirr and circo")


def _lists(
    embeddings: Embeddings, task: Task, length: int, in_subset: bool = False
) -> dict[str, list[str]]:
    """Return the first images of each query's ranking by query id."""
    index = GalleryIndex(task)
    subsets = index.subsets()
    queries, gallery = embeddings.of_queries(task), embeddings.of_gallery(task)
    ranked = []
    for rows, scores in score_chunks(queries, gallery, index.removed()):
        ranked.append(top(subset_scores(scores, subsets[rows]) if in_subset else scores, length))
    names = [[task.gallery[place] for place in row if place >= 0] for row in _rows(ranked)]
    return {triplet.id: row for triplet, row in zip(task.triplets, names, strict=True)}


def _rows(ranked: list[torch.Tensor]) -> list[list[int]]:
    rows: list[list[int]] = torch.cat(ranked).tolist() if ranked else []
    return rows


def _check_cirr(content: Submission, dataset: CIRR) -> None:
    metric = content.get("metric")
    if content.get("version") != CIRR_VERSION or metric not in (_RECALL, _RECALL_SUBSET):
        raise TMCIRError(
            f"'version' must be {CIRR_VERSION!r} and 'metric' {_RECALL!r} or {_RECALL_SUBSET!r}"
        )
    lists = {key: value for key, value in content.items() if key not in ("version", "metric")}
    (task,) = dataset.tasks()
    everything = set(task.gallery)
    in_subset = metric == _RECALL_SUBSET
    allowed = {
        t.id: set(t.subset) if in_subset else everything - {t.reference} for t in task.triplets
    }
    length = SUBSET_LENGTH if in_subset else LENGTH
    _check_lists(lists, allowed, length, lambda value: isinstance(value, str))


def _check_circo(content: Submission, dataset: CIRCO) -> None:
    everything = {int(name) for name in dataset.gallery} if dataset.complete else None
    allowed = {triplet.id: everything for triplet in dataset.triplets}
    _check_lists(
        content,
        allowed,
        LENGTH,
        lambda value: isinstance(value, int) and not isinstance(value, bool),
    )


def _check_lists(
    lists: Submission,
    allowed: dict[str, Any],
    length: int,
    is_name: Callable[[Any], bool],
) -> None:
    """Check each query's list against the images that it may have; None allows any."""
    if lists.keys() != allowed.keys():
        odd = sorted(lists.keys() ^ allowed.keys())
        raise TMCIRError(f"must have every query and nothing else: see {', '.join(odd[:3])}")
    for query, names in lists.items():
        if not isinstance(names, list) or not all(is_name(name) for name in names):
            raise TMCIRError(
                f"query {query}: must have a list of image names as the server has them"
            )
        ours = allowed[query]
        expected = length if ours is None else min(length, len(ours))
        if len(names) != expected:
            raise TMCIRError(f"query {query}: has {len(names)} images, but must have {expected}")
        if len(set(names)) < len(names):
            raise TMCIRError(f"query {query}: has an image twice")
        strangers = [] if ours is None else [name for name in names if name not in ours]
        if strangers:
            raise TMCIRError(f"query {query}: {strangers[0]!r} is not an image that it may rank")
