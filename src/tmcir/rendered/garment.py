"""A garment: its attributes, checked against each other, and those derived from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.rendered.palette import Colour, contrasting, lightness_of
from tmcir.rendered.vocabulary import (
    ATTRIBUTES,
    BUSYNESS,
    KIND_FORMALITY,
    PART_FORMALITY,
    VOCABULARIES,
    Closure,
    Fit,
    GarmentKind,
    Length,
    Neckline,
    Pattern,
    Sleeve,
    Trim,
    values_of,
)


@dataclass(frozen=True, slots=True)
class Garment:
    """The attributes of a garment. One that its kind lacks is None, "none" or False.

    Attributes:
        kind: What it is.
        colour: The colour, or the ground of the pattern.
        pattern: What is woven or printed.
        second_colour: The colour of the pattern; None exactly for a solid one.
        sleeve: Length of the sleeves.
        neckline: Shape of the neckline, or the collar on it.
        length: Where the hem is.
        fit: How wide it is cut.
        closure: What closes the front.
        trim: What decorates the edges.
        belt: Whether there is a belt.
        pockets: Whether there are pockets that show.

    Raises:
        TMCIRError: A value is unknown, or this kind cannot have it.
    """

    kind: GarmentKind
    colour: Colour
    pattern: Pattern = "solid"
    second_colour: Colour | None = None
    sleeve: Sleeve | None = None
    neckline: Neckline | None = None
    length: Length | None = None
    fit: Fit = "regular"
    closure: Closure = "none"
    trim: Trim = "none"
    belt: bool = False
    pockets: bool = False

    def __post_init__(self) -> None:
        for attribute in ATTRIBUTES:
            value = self.value(attribute)
            if value not in VOCABULARIES[attribute]:
                raise unknown_choice(attribute, str(value), map(str, VOCABULARIES[attribute]))
            if not self.allows(attribute, value):
                valid = ", ".join(map(str, self.choices(attribute)))
                raise TMCIRError(
                    f"a {self.colour} {self.kind} ({self.pattern}) cannot have {attribute}"
                    f" {value!r}: valid: {valid}"
                )

    def value(self, attribute: str) -> Any:
        """Return an attribute by its name."""
        return getattr(self, attribute)

    def choices(self, attribute: str) -> tuple[Any, ...]:
        """Return the values that an attribute may have on this kind, colour and pattern."""
        if attribute == "second_colour":
            return second_colours(self.colour, self.pattern)
        return values_of(self.kind, attribute)

    def allows(self, attribute: str, value: Any) -> bool:
        """Return whether an attribute may have a value on this kind, colour and pattern."""
        return value in self.choices(attribute)

    def replace(self, **values: Any) -> Garment:
        """Return a copy with other values.

        Raises:
            TMCIRError: The result would not be valid.
        """
        return replace(self, **values)

    @property
    def formality(self) -> int:
        """How formal the parts make it, from about -3 (a loose printed hoodie) to 14."""
        parts = (self.neckline, self.closure, self.pattern, self.fit)
        return KIND_FORMALITY[self.kind] + sum(PART_FORMALITY.get(str(p), 0) for p in parts)

    @property
    def busyness(self) -> int:
        """How busy the pattern is, from 0 for a solid one."""
        return BUSYNESS[self.pattern]

    @property
    def lightness(self) -> int:
        """How light the colour is, from 0 (dark)."""
        return lightness_of(self.colour)


def second_colours(colour: Colour, pattern: Pattern) -> tuple[Colour | None, ...]:
    """Return the colours that a pattern may have: None for a solid one."""
    return (None,) if pattern == "solid" else cast(tuple[Colour | None, ...], contrasting(colour))
