"""From queries to vectors: each kind encoded as one batch, then moved by terms and examples."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tmcir.core.errors import ImageError, QueryError, TMCIRError, UnknownItemError
from tmcir.core.images import read_image
from tmcir.gallery.model import EmbeddingModel, as_array
from tmcir.gallery.photos import file_state
from tmcir.gallery.query import ImageSource, Query
from tmcir.gallery.stores.base import Store, unit

#: Weight of the mean of the photos that results should be more like; the query itself has 1.
MORE_WEIGHT = 0.75
#: Weight of the mean of the photos that results should be less like.
LESS_WEIGHT = 0.25

_CANCELLED = 1e-4  # length of a sum of unit vectors below which its direction is noise


def embed(model: EmbeddingModel, store: Store, queries: Sequence[Query]) -> NDArray[np.float32]:
    """Embed checked queries: float32 [N, D], L2-normalised.

    The vector of a photo of the gallery is the stored one; its pixels are read only to compose it
    with a text. The model is called once for each kind of query, whatever their number.

    Raises:
        UnknownItemError: An id is not in the gallery.
        TMCIRError: The examples of a query cancel each other out.
        ImageError: An image cannot be read.
    """
    texts = [query.text.strip() for query in queries]
    stored = _stored_vectors(store, queries)
    base = np.zeros((len(queries), model.embedding_size), np.float32)  # [N, D]
    composed: list[int] = []
    images: list[int] = []
    texts_only: list[int] = []
    for row, query in enumerate(queries):
        if query.has_reference and texts[row]:
            composed.append(row)
        elif query.image is not None:
            images.append(row)
        elif query.item is not None:
            base[row] = stored[query.item]
        elif texts[row]:
            texts_only.append(row)
    if composed:
        base[composed] = as_array(
            model.compose(
                [reference(store, model.image_size, queries[row]) for row in composed],
                [texts[row] for row in composed],
                [queries[row].balance for row in composed],
            )
        )
    sources = [reference(store, model.image_size, queries[row]) for row in images]
    terms = [term for query in queries for term in query.terms]
    own_images = [term.image for term in terms if term.image is not None]
    own_texts = [term.text.strip() for term in terms if term.text is not None]
    vectors: dict[int, NDArray[np.float32]] = {}  # of terms, by their place
    if images or own_images:
        encoded = as_array(model.encode_images([*sources, *own_images]))
        base[images] = encoded[: len(images)]
        places = [place for place, term in enumerate(terms) if term.image is not None]
        vectors.update(zip(places, encoded[len(images) :], strict=True))
    if texts_only or own_texts:
        encoded = as_array(model.encode_texts([*(texts[row] for row in texts_only), *own_texts]))
        base[texts_only] = encoded[: len(texts_only)]
        places = [place for place, term in enumerate(terms) if term.text is not None]
        vectors.update(zip(places, encoded[len(texts_only) :], strict=True))
    for place, term in enumerate(terms):
        if term.item is not None:
            vectors[place] = stored[term.item]
    return move(base, queries, stored, [vectors[place] for place in range(len(terms))])


def reference(store: Store, image_size: int, query: Query) -> ImageSource:
    """Return the image that a query starts from.

    A photo of the gallery is read from its file if that is still what was indexed, and from the
    stored thumbnail otherwise.

    Raises:
        UnknownItemError: The item is not in the gallery.
        TMCIRError: The query has no reference, or its photo is gone and has no thumbnail.
    """
    if query.image is not None:
        return query.image
    if query.item is None:
        raise TMCIRError("this query has no reference: give an image or an item of the gallery")
    known = store.file(query.item)
    if known is None:
        raise unknown_item(query.item)
    try:
        if file_state(Path(known.path), known).content_hash == known.content_hash:
            return read_image(known.path, image_size)
    except (ImageError, OSError):
        pass  # gone or broken since
    thumbnail = store.thumbnails([query.item]).get(query.item)
    if thumbnail is None:
        raise TMCIRError(f"{known.path}: this photo is gone or has changed; index the photos again")
    return read_image(Image.open(io.BytesIO(thumbnail)))


def unknown_item(name: str) -> UnknownItemError:
    """Build the error for an id that no photo has."""
    return UnknownItemError(f"no photo {name[:200]!r} in this gallery")


def _stored_vectors(store: Store, queries: Sequence[Query]) -> dict[str, NDArray[np.float32]]:
    """Return the vectors [D] of all photos that queries name, by id."""
    named: dict[str, None] = {}
    for query in queries:
        own = [] if query.item is None else [query.item]
        own += [term.item for term in query.terms if term.item is not None]
        named.update(dict.fromkeys((*own, *query.more_like, *query.less_like)))
    if not named:
        return {}
    vectors = store.vectors(list(named))
    for name in named:
        if name not in vectors:
            raise unknown_item(name)
    return vectors


def move(
    base: NDArray[np.float32],
    queries: Sequence[Query],
    vectors: Mapping[str, NDArray[np.float32]],
    terms: Sequence[NDArray[np.float32]] = (),
) -> NDArray[np.float32]:
    """Move queries towards and away from terms and examples, as Rocchio's feedback does.

    q' = normalise(q + sum_i w_i t_i + 0.75 mean(more_like) - 0.25 mean(less_like)), where every
    vector is a unit vector and q is absent from a query without image and text. The weights of
    examples are the usual ones: an example weighs less than the query, and a counter-example less
    than an example.
    Source: Rocchio 1971; Manning, Raghavan and Schuetze, Introduction to Information Retrieval,
    section 9.1.1.

    Args:
        base: float32 [N, D], unit vectors of image and text; zero where a query has neither.
        queries: N queries.
        vectors: Unit vectors [D] of all examples by id.
        terms: Unit vectors [D] of the terms of all queries, in their order.

    Returns:
        float32 [N, D], L2-normalised.

    Raises:
        QueryError: The examples of a query cancel each other out.
    """
    moved = base.astype(np.float64)
    term_vectors = iter(terms)
    for row, query in enumerate(queries):
        for term in query.terms:
            moved[row] += term.weight * next(term_vectors)  # [D]
        for ids, weight in ((query.more_like, MORE_WEIGHT), (query.less_like, -LESS_WEIGHT)):
            if ids:
                moved[row] += weight * np.mean([vectors[name] for name in ids], axis=0)  # [D]
    if (np.linalg.norm(moved, axis=1) < _CANCELLED).any():
        raise QueryError(
            "the terms and the photos to be more like and less like cancel each other out"
        )
    return unit(moved)
