"""A few queries over the catalogue, and their results in the gallery."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tmcir.data.dataset import Triplet
from tmcir.gallery import Gallery, Hit
from tmcir.models.explained import Explanation
from tmcir.models.tmcir import TMCIR
from tmcir.rendered.catalogue import SEVERAL, RenderedCatalogue

#: Kinds of change, one query each; those that a sum of embeddings finds hard come first.
KINDS = ("formality", "trim", "sleeve", "colour", "pattern", SEVERAL)
_RESULTS = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """A query and its results.

    Attributes:
        text: The modification text.
        reference: The reference picture.
        hits: The best results, without the reference itself.
        right: Whether each of them is a right answer.
        explanation: The explanation of the query.
    """

    text: str
    reference: Path
    hits: tuple[Hit, ...]
    right: tuple[bool, ...]
    explanation: Explanation


def choose_queries(catalogue: RenderedCatalogue) -> list[Triplet]:
    """Return the first query of each of ``KINDS``, independent of the model."""
    first: dict[str, Triplet] = {}
    for triplet in catalogue.triplets:
        first.setdefault(triplet.kind, triplet)
    return [first[kind] for kind in KINDS if kind in first]


def answer(gallery: Gallery, model: TMCIR, catalogue: RenderedCatalogue, query: Triplet) -> Answer:
    """Search with a query's reference and text.

    Raises:
        TMCIRError: The gallery cannot be read.
    """
    reference = catalogue.image_path(query.reference)
    found = gallery.search(reference, query.text, k=_RESULTS + 1)
    hits = tuple(hit for hit in found if hit.id != reference.name)[:_RESULTS]
    answers = {catalogue.image_path(name).name for name in query.answers}
    return Answer(
        text=query.text,
        reference=reference,
        hits=hits,
        right=tuple(hit.id in answers for hit in hits),
        explanation=model.explain(reference, query.text),
    )
