"""Queries and their checks, without a gallery."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tmcir.core.errors import TMCIRError
from tmcir.gallery.stores.base import is_text

ImageSource = str | Path | Image.Image

#: Maximum length of a query text, in characters.
MAXIMUM_TEXT = 2_000
#: Maximum number of examples of a query, of either kind.
MAXIMUM_EXAMPLES = 32
#: Maximum number of terms of a query.
MAXIMUM_TERMS = 16
#: Maximum absolute weight of a term.
MAXIMUM_WEIGHT = 10
#: Weight of a term that the results should not have (`--not`).
WITHOUT_WEIGHT = -0.5


@dataclass(frozen=True, slots=True)
class Term:
    """A text, an image or a photo of the gallery, with a weight: exactly one of the three.

    Attributes:
        weight: Results move towards it, or away from it where the weight is negative. The composed
            query itself has weight 1.
        text: A text.
        image: An image, a file or a PIL image.
        item: Id of a photo of the gallery.
    """

    weight: float
    text: str | None = None
    image: ImageSource | None = None
    item: str | None = None

    @classmethod
    def of(cls, given: Term | tuple[ImageSource, float]) -> Term:
        """Return a term; in a pair of what and weight, a ``str`` is a text and a path an image.

        Raises:
            TMCIRError: It is neither.
        """
        if isinstance(given, Term):
            return given
        if not isinstance(given, tuple) or len(given) != 2:
            raise TMCIRError(f"a term is a pair such as ('green shirt', 1.0), not {given!r}"[:200])
        what, weight = given
        if isinstance(what, str):
            return cls(weight, text=what)
        return cls(weight, image=what)

    def check(self) -> None:
        """Check a term.

        Raises:
            TMCIRError: It is empty, ambiguous or out of range.
        """
        if sum(part is not None for part in (self.text, self.image, self.item)) != 1:
            raise TMCIRError("a term is a text, an image or an item of the gallery: one of them")
        if self.text is not None:
            if not self.text.strip():
                raise TMCIRError("a term without a text")
            check_text(self.text)
        if not isinstance(self.weight, int | float) or not 0 < abs(self.weight) <= MAXIMUM_WEIGHT:
            raise TMCIRError(
                f"the weight of a term must lie between -{MAXIMUM_WEIGHT} and {MAXIMUM_WEIGHT} and"
                f" not be 0, but is {self.weight}"
            )


@dataclass(frozen=True, slots=True)
class Query:
    """A query, or one turn of a search of several turns (`tmcir.gallery.turns`).

    A query has a reference image, a text, both, or terms or examples alone. A turn without a
    reference continues the query before it.

    Attributes:
        image: Reference image, a file or a PIL image; excludes ``item``.
        item: Id of a photo of the gallery as the reference.
        text: How the result should differ from the reference or, without one, what it shows.
        balance: In [-1, 1], for queries with reference and text: -1 follows the image only, 1 the
            text only.
        more_like: Ids of photos of the gallery; results move towards them.
        less_like: Ids of photos of the gallery; results move away from them.
        terms: Further texts, images and photos of the gallery, each with a weight.
    """

    image: ImageSource | None = None
    item: str | None = None
    text: str = ""
    balance: float = 0.0
    more_like: tuple[str, ...] = ()
    less_like: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()

    @property
    def has_reference(self) -> bool:
        """Whether the query starts from an image or a photo of the gallery."""
        return self.image is not None or self.item is not None

    def check(self) -> None:
        """Check all that can be checked of a query without a gallery.

        Raises:
            TMCIRError: The query is empty, contradictory or out of range.
        """
        self.check_turn()
        towards = self.more_like or any(term.weight > 0 for term in self.terms)
        if not self.has_reference and not self.text.strip() and not towards:
            more = "; `less_like` needs something to start from" if self.less_like else ""
            if self.terms:
                more = "; terms with negative weights need something to start from"
            raise TMCIRError(f"an empty query: give an image, a text or both{more}")

    def check_turn(self) -> None:
        """Check what must hold for a turn as well, which may say nothing new by itself.

        Raises:
            TMCIRError: The turn is contradictory or out of range.
        """
        if self.image is not None and self.item is not None:
            raise TMCIRError(
                "a query starts from an image or from an item of the gallery, not both"
            )
        check_text(self.text)
        if not math.isfinite(self.balance) or not -1 <= self.balance <= 1:
            raise TMCIRError(
                f"balance must lie between -1 (image only) and 1 (text only), not {self.balance}"
            )
        for name, ids in (("more_like", self.more_like), ("less_like", self.less_like)):
            if len(ids) > MAXIMUM_EXAMPLES:
                raise TMCIRError(
                    f"{name} names {len(ids)} photos; at most {MAXIMUM_EXAMPLES} are allowed"
                )
        if len(self.terms) > MAXIMUM_TERMS:
            raise TMCIRError(f"{len(self.terms)} terms; at most {MAXIMUM_TERMS} are allowed")
        for term in self.terms:
            term.check()


def check_text(text: str) -> None:
    """Check a text of a query.

    Raises:
        TMCIRError: It is too long, or no valid text.
    """
    if len(text) > MAXIMUM_TEXT:
        raise TMCIRError(f"the text has {len(text):,} characters; the limit is {MAXIMUM_TEXT:,}")
    if not is_text(text):
        raise TMCIRError("the text is not valid UTF-8")
