"""What a person asks a gallery for, checked as far as it can be without one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tmcir.core.errors import TMCIRError
from tmcir.gallery.stores.base import is_text

ImageSource = str | Path | Image.Image

#: Longest query text, in characters.
MAXIMUM_TEXT = 2_000
#: Most photos that a query can name as examples, of either kind.
MAXIMUM_EXAMPLES = 32


@dataclass(frozen=True, slots=True)
class Query:
    """A query, or one turn of a search of several turns (`tmcir.gallery.turns`).

    A query has a reference image, a text, both, or examples alone. A turn without a reference
    continues the query before it.

    Attributes:
        image: Reference image, a file or a PIL image; excludes ``item``.
        item: Id of a photo of the gallery as the reference.
        text: How the result should differ from the reference or, without one, what it shows.
        balance: In [-1, 1], for queries with reference and text: -1 follows the image only, 1 the
            text only.
        more_like: Ids of photos of the gallery; results move towards them.
        less_like: Ids of photos of the gallery; results move away from them.
    """

    image: ImageSource | None = None
    item: str | None = None
    text: str = ""
    balance: float = 0.0
    more_like: tuple[str, ...] = ()
    less_like: tuple[str, ...] = ()

    @property
    def has_reference(self) -> bool:
        """Whether the query starts from an image or a photo of the gallery."""
        return self.image is not None or self.item is not None

    def check(self) -> None:
        """Check all that can be checked of a query without a gallery.

        Raises:
            TMCIRError: The query is empty, contradictory or out of range.
        """
        if not self.has_reference and not self.text.strip() and not self.more_like:
            more = "; `less_like` needs something to start from" if self.less_like else ""
            raise TMCIRError(f"an empty query: give an image, a text or both{more}")
        self.check_turn()

    def check_turn(self) -> None:
        """Check what must hold for a turn as well, which may say nothing new by itself.

        Raises:
            TMCIRError: The turn is contradictory or out of range.
        """
        if self.image is not None and self.item is not None:
            raise TMCIRError(
                "a query starts from an image or from an item of the gallery, not both"
            )
        if len(self.text) > MAXIMUM_TEXT:
            raise TMCIRError(
                f"the text has {len(self.text):,} characters; the limit is {MAXIMUM_TEXT:,}"
            )
        if not is_text(self.text):
            raise TMCIRError("the text is not valid UTF-8")
        if not math.isfinite(self.balance) or not -1 <= self.balance <= 1:
            raise TMCIRError(
                f"balance must lie between -1 (image only) and 1 (text only), not {self.balance}"
            )
        for name, ids in (("more_like", self.more_like), ("less_like", self.less_like)):
            if len(ids) > MAXIMUM_EXAMPLES:
                raise TMCIRError(
                    f"{name} names {len(ids)} photos; at most {MAXIMUM_EXAMPLES} are allowed"
                )
