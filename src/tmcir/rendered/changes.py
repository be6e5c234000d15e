"""What a modification text asks for, in a form that can be checked against any garment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.rendered.garment import Garment
from tmcir.rendered.vocabulary import ATTRIBUTES, DERIVED, FITS, GOVERNED, LENGTHS, SLEEVES

Predicate = Literal["equals", "more", "less", "has", "has not"]

# What "longer", "looser" and "shorter" compare.
_ORDERS: dict[str, tuple[str, ...]] = {"sleeve": SLEEVES, "length": LENGTHS, "fit": FITS}
_ORDERED = (*_ORDERS, *DERIVED)
# Parts that a garment has or has not, and the value that stands for having none.
_NOTHING: dict[str, Any] = {"closure": "none", "trim": "none", "belt": False, "pockets": False}
_PARTS = (*_NOTHING, "pattern")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a text asks for.

    Attributes:
        attribute: A garment's attribute, or ``formality``, ``busyness`` or ``lightness``.
        predicate: ``equals``: is ``value``. ``more``, ``less``: compared with the reference.
            ``has``: the part ``value`` is there. ``has not``: it is gone, and nothing of its
            sort is in its place.
        value: The value of ``equals``, ``has`` and ``has not``; None for ``more`` and ``less``.

    Raises:
        TMCIRError: The attribute is unknown or the predicate does not apply to it.
    """

    attribute: str
    predicate: Predicate
    value: Any = None

    def __post_init__(self) -> None:
        if self.attribute not in ATTRIBUTES and self.attribute not in DERIVED:
            raise unknown_choice("attribute", self.attribute, (*ATTRIBUTES, *DERIVED))
        compares = self.predicate in ("more", "less")
        fits = {
            "equals": self.attribute in ATTRIBUTES,
            "more": self.attribute in _ORDERED,
            "less": self.attribute in _ORDERED,
            "has": self.attribute in _PARTS,
            "has not": self.attribute in _PARTS,
        }
        if not fits.get(self.predicate, False) or compares != (self.value is None):
            raise TMCIRError(f"no such change: {self.attribute} {self.predicate} {self.value!r}")

    def satisfied_by(self, reference: Garment, candidate: Garment) -> bool:
        """Return whether a garment shows this change, compared with the reference."""
        if self.predicate in ("more", "less"):
            old, new = _rank(reference, self.attribute), _rank(candidate, self.attribute)
            if old is None or new is None:
                return False
            if self.attribute == "sleeve" and candidate.sleeve == "sleeveless":
                return False  # it has no sleeves that could be shorter
            return new > old if self.predicate == "more" else new < old
        found = candidate.value(self.attribute)
        if self.predicate == "has not":
            nothing = "solid" if self.attribute == "pattern" else _NOTHING[self.attribute]
            return bool(found == nothing and reference.value(self.attribute) == self.value)
        return bool(found == self.value)

    @property
    def touched(self) -> tuple[str, ...]:
        """The attributes that may differ because of this change."""
        return DERIVED.get(self.attribute, (self.attribute,))

    @property
    def form(self) -> str:
        """Its form: ``absolute``, ``relative``, ``additive`` or ``negative``."""
        return {"equals": "absolute", "has": "additive", "has not": "negative"}.get(
            self.predicate, "relative"
        )


def kept_attributes(
    reference: Garment, changes: Iterable[Change], candidate: Garment
) -> tuple[str, ...]:
    """Return the attributes that must stay as they are in the reference.

    An attribute may differ where a change touches it or excludes its old value: a skirt made from a
    dress has no sleeves, and a solid shirt has no second colour.
    """
    touched = {name for change in changes for name in change.touched}
    governed = {name for attribute in touched for name in GOVERNED.get(attribute, ())}
    return tuple(
        name
        for name in ATTRIBUTES
        if name not in touched
        and (name not in governed or candidate.allows(name, reference.value(name)))
    )


def differences(reference: Garment, target: Garment) -> tuple[str, ...]:
    """Return the attributes that a text must name to lead from one garment to another.

    Attributes that follow from a named one (a skirt has no sleeves) are not among them.
    """
    named: list[Change] = []
    for name in ATTRIBUTES:
        value = target.value(name)
        if reference.value(name) != value and name in kept_attributes(reference, named, target):
            named.append(Change(name, "equals", value))
    return tuple(change.attribute for change in named)


def is_answer(reference: Garment, changes: Iterable[Change], candidate: Garment) -> bool:
    """Return whether a garment satisfies all changes and is otherwise like the reference."""
    changes = tuple(changes)
    return all(change.satisfied_by(reference, candidate) for change in changes) and all(
        reference.value(name) == candidate.value(name)
        for name in kept_attributes(reference, changes, candidate)
    )


def kept_and_changed(
    reference: Garment, changes: Iterable[Change], result: Garment
) -> tuple[float, float]:
    """Return the shares of changes that a result shows and of attributes that it keeps.

    Returns:
        The share of the changes that the result satisfies, and the share of the attributes that
        must stay and that did. Attributes that the reference's kind does not have at all, such
        as a skirt's sleeves, do not count. Where nothing is asked, or nothing must stay, the
        share is 1.
    """
    changes = tuple(changes)
    made = [change.satisfied_by(reference, result) for change in changes]
    stayed = [
        reference.value(name) == result.value(name)
        for name in kept_attributes(reference, changes, result)
        if len(reference.choices(name)) > 1
    ]
    return _share(made), _share(stayed)


def _share(values: list[bool]) -> float:
    return sum(values) / len(values) if values else 1.0


def _rank(garment: Garment, attribute: str) -> int | None:
    value = garment.value(attribute)
    if attribute in DERIVED:
        return int(value)
    return None if value is None else _ORDERS[attribute].index(value)
