"""Embedding the queries and galleries of an evaluation; every image is encoded once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.progress import Progress
from tmcir.data.dataset import Dataset, Task, Triplet, missing_images
from tmcir.models.baselines import UNTRAINED_METHODS, Compose
from tmcir.models.features import ImageFeatures, TextFeatures
from tmcir.runs.prefetch import prefetch

if TYPE_CHECKING:
    from tmcir.models.tmcir import TMCIR

OWN_METHOD = "model"
"""The name of the model's own composition method."""

Encode = Callable[[Sequence[Path]], ImageFeatures]
"""Gives the features of images, by their paths."""

EncodeTexts = Callable[[list[str]], TextFeatures]
"""Gives the features of texts."""

# Batches that may wait, decoded, for the encoder.
_READ_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Embeddings of the queries and galleries of some tasks, on the CPU.

    Attributes:
        images: float32 [N, D], L2-normalised, one row an image.
        image_rows: Row of each image by its name.
        queries: float32 [Q, D], L2-normalised, one row a query.
        query_rows: Row of each query by ``Triplet.id``.
        texts: float32 [Q, D], L2-normalised, the embedding of each query's text alone; needed for
            balance only.
    """

    images: Tensor
    image_rows: dict[str, int]
    queries: Tensor
    query_rows: dict[str, int]
    texts: Tensor | None = None

    def of_gallery(self, task: Task) -> Tensor:
        """Return the task's gallery, float32 [G, D], in gallery order."""
        return self.images[_rows(self.image_rows, task.gallery, "image")]

    def of_queries(self, task: Task) -> Tensor:
        """Return the task's queries, float32 [Q, D], in order."""
        return self.queries[self._rows_of(task)]

    def of_references(self, task: Task) -> Tensor:
        """Return the embeddings of the queries' images, float32 [Q, D], in order."""
        return self.images[_rows(self.image_rows, [t.reference for t in task.triplets], "image")]

    def of_texts(self, task: Task) -> Tensor:
        """Return the embeddings of the queries' texts, float32 [Q, D], in order.

        Raises:
            TMCIRError: There are none.
        """
        if self.texts is None:
            raise TMCIRError("the embeddings lack those of the queries' texts")
        return self.texts[self._rows_of(task)]

    def _rows_of(self, task: Task) -> list[int]:
        return _rows(self.query_rows, [triplet.id for triplet in task.triplets], "query")


def embed(
    model: TMCIR,
    dataset: Dataset,
    tasks: Sequence[Task],
    method: str = OWN_METHOD,
    batch_size: int = 64,
    progress: Progress | None = None,
    compose: Compose | None = None,
    encode: Encode | None = None,
    encode_texts: EncodeTexts | None = None,
) -> Embeddings:
    """Embed the queries and galleries of tasks, composing by a method, or by ``compose`` if given.

    Makes one pass over all gallery and reference images. Token embeddings are large, so the queries
    of a batch's images are composed at once and the tokens are freed. ``encode`` and
    ``encode_texts`` give features that were computed before, for a model that composes features.

    Raises:
        TMCIRError: The method is unknown.
        ImageError: Images are missing or broken.
    """
    if not model.composes_features:
        return _embed_whole(model, dataset, tasks, method, batch_size, progress)
    if compose is None:
        compose = model.fuse if is_own(model, method) else UNTRAINED_METHODS[method]
    queries = _queries_by_reference(tasks)
    names = list(dict.fromkeys([*queries, *(name for task in tasks for name in task.gallery)]))
    dataset.prepare(progress)
    paths = find_images(dataset, names)
    images = torch.empty(len(names), model.embedding_size)
    nothing = torch.empty(0, model.embedding_size)
    composed, read = [nothing], [nothing]
    identifiers: list[str] = []
    with torch.inference_mode():
        for start, features in _features(model, paths, batch_size, encode):
            end = start + len(features.pooled)
            images[start:end] = features.pooled.float().cpu()
            pairs = [
                (row, triplet)
                for row, name in enumerate(names[start:end])
                for triplet in queries.get(name, ())
            ]
            # An image may have many queries, so they are batched too.
            for first in range(0, len(pairs), batch_size):
                chosen = pairs[first : first + batch_size]
                texts = (encode_texts or model.text_features)(
                    [triplet.text for _, triplet in chosen]
                )
                composed.append(_compose(compose, features, texts, [row for row, _ in chosen]))
                read.append(texts.pooled.float().cpu())
                identifiers += [triplet.id for _, triplet in chosen]
            if progress is not None:
                progress(end, len(names))
    return Embeddings(
        images=images,
        image_rows={name: row for row, name in enumerate(names)},
        queries=torch.cat(composed),
        query_rows={identifier: row for row, identifier in enumerate(identifiers)},
        texts=torch.cat(read),
    )


def _embed_whole(
    model: TMCIR,
    dataset: Dataset,
    tasks: Sequence[Task],
    method: str,
    batch_size: int,
    progress: Progress | None,
) -> Embeddings:
    """Embed as ``embed`` does, with a model that reads the image and the text of a query at once.

    The reference of a query is read again for it.
    """
    own = is_own(model, method)
    grouped = _queries_by_reference(tasks)
    names = list(dict.fromkeys([*grouped, *(name for task in tasks for name in task.gallery)]))
    dataset.prepare(progress)
    paths = dict(zip(names, find_images(dataset, names), strict=True))
    triplets = [triplet for queries in grouped.values() for triplet in queries]
    images = []
    for start in range(0, len(names), batch_size):
        part = names[start : start + batch_size]
        images.append(model.encode_images([paths[name] for name in part]))
        if progress is not None:
            progress(start + len(part), len(names))
    texts = model.encode_texts([triplet.text for triplet in triplets])
    queries = texts
    if own:
        references = [paths[triplet.reference] for triplet in triplets]
        queries = model.compose(references, [triplet.text for triplet in triplets])
    embeddings = Embeddings(
        images=torch.cat(images),
        image_rows={name: row for row, name in enumerate(names)},
        queries=queries,
        query_rows={triplet.id: row for row, triplet in enumerate(triplets)},
        texts=texts,
    )
    return embeddings if own else recompose(embeddings, tasks, method)


def recompose(embeddings: Embeddings, tasks: Sequence[Task], method: str) -> Embeddings:
    """Compose the queries by a baseline from embeddings that exist.

    Args:
        embeddings: The result of ``embed`` for these tasks, by any method.
        tasks: The tasks.
        method: A baseline: image, text or sum.

    Raises:
        TMCIRError: The method is none of these, or an embedding is missing.
    """
    if method not in UNTRAINED_METHODS:
        raise unknown_choice("method to recompose by", method, UNTRAINED_METHODS)
    if embeddings.texts is None:
        raise TMCIRError("the embeddings lack those of the queries' texts")
    references = {triplet.id: triplet.reference for task in tasks for triplet in task.triplets}
    names = [references[identifier] for identifier in embeddings.query_rows]
    images = embeddings.images[_rows(embeddings.image_rows, names, "image")]  # [Q, D]
    nothing = images[:, None][:, :0]  # no tokens: [Q, 0, D]
    texts = TextFeatures(
        embeddings.texts, nothing, torch.zeros(nothing.shape[:2], dtype=torch.bool)
    )
    composed = UNTRAINED_METHODS[method](ImageFeatures(images, nothing), texts)
    return replace(embeddings, queries=composed)


def _rows(rows: dict[str, int], names: Sequence[str], what: str) -> list[int]:
    missing = [name for name in names if name not in rows]
    if missing:
        raise TMCIRError(
            f"{len(missing)} embeddings are missing, such as that of {what} {missing[0]}"
        )
    return [rows[name] for name in names]


def find_images(dataset: Dataset, names: Sequence[str]) -> list[Path]:
    """Return the paths of images.

    Raises:
        ImageError: Some are missing: the first few by name, and how many there are.
    """
    found = [dataset.find_image(name) for name in names]
    paths = [path for path in found if path is not None]
    if len(paths) < len(names):
        missing = [name for name, path in zip(names, found, strict=True) if path is None]
        raise missing_images(dataset, missing, len(names))
    return paths


def is_own(model: TMCIR, method: str) -> bool:
    """Return whether a name means the model's own method (True) or a baseline (False).

    Raises:
        TMCIRError: It means neither.
    """
    if method in (OWN_METHOD, model.method):
        return True
    if method not in UNTRAINED_METHODS:
        raise unknown_choice("method", method, [OWN_METHOD, *UNTRAINED_METHODS])
    return False


def _compose(
    compose: Compose, features: ImageFeatures, texts: TextFeatures, rows: list[int]
) -> Tensor:
    """Compose queries, each text with the image in its row of ``features``: float32 [N, D]."""
    chosen = features.select(torch.tensor(rows, device=features.pooled.device))
    return compose(chosen, texts).float().cpu()


def _queries_by_reference(tasks: Sequence[Task]) -> dict[str, list[Triplet]]:
    """Return the queries by reference image; a query of several tasks occurs once."""
    queries: dict[str, Triplet] = {}
    for triplet in (triplet for task in tasks for triplet in task.triplets):
        if queries.setdefault(triplet.id, triplet) != triplet:
            raise TMCIRError(f"two queries of the dataset have the id {triplet.id!r}")
    grouped: dict[str, list[Triplet]] = defaultdict(list)
    for triplet in queries.values():
        grouped[triplet.reference].append(triplet)
    return grouped


def _features(
    model: TMCIR, paths: Sequence[Path], batch_size: int, encode: Encode | None
) -> Iterator[tuple[int, ImageFeatures]]:
    """Yield (first row, features) of batches of images."""
    if encode is None:
        for start, pixels in _read_ahead(model, paths, batch_size):
            yield start, model.image_features(pixels)
        return
    for start in range(0, len(paths), batch_size):
        yield start, encode(paths[start : start + batch_size])


def _read_ahead(
    model: TMCIR, paths: Sequence[Path], batch_size: int
) -> Iterator[tuple[int, Tensor]]:
    """Yield (first row, pixels [N, 3, S, S]), reading the next batches in the background."""
    starts = range(0, len(paths), batch_size)
    batches = [paths[start : start + batch_size] for start in starts]
    with closing(prefetch(model.preprocess, batches, _READ_AHEAD)) as read:
        yield from zip(starts, read, strict=True)
