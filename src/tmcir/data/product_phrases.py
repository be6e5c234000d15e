"""What people say to change one attribute of a product."""

from __future__ import annotations

_ANY_KIND = ("replace {old} with {new}", "change {old} to {new}", "{new} instead of {old}")
#: By attribute; ``{old}`` and ``{new}`` stand for its values in reference and target.
PARAPHRASES: dict[str, tuple[str, ...]] = {
    "gender": (
        *_ANY_KIND,
        "for {new}",
        "the same for {new}",
        "not for {old} but for {new}",
        "the {new} version",
        "something similar for {new}",
        "make it for {new}",
        "I need this for {new}",
        "like this one, for {new}",
        "do you have it for {new}?",
        "meant for {new} rather than {old}",
    ),
    "colour": (
        *_ANY_KIND,
        "in {new}",
        "the same in {new}",
        "make it {new}",
        "is {new}",
        "is {new} and not {old}",
        "I would like it in {new}",
        "the {new} one",
        "in {new} rather than {old}",
        "like this, but {new}",
        "has a {new} colour",
    ),
    "pattern": (
        *_ANY_KIND,
        "make it {new}",
        "is {new}",
        "is {new} and not {old}",
        "a {new} one",
        "the same, {new}",
        "with a {new} look",
        "{new}, please",
        "like this, but {new}",
        "I would like it {new}",
        "{new} rather than {old}",
    ),
    "type": (
        *_ANY_KIND,
        "{new} in the same style",
        "show me {new} like this",
        "the same as {new}",
        "make it {new}",
        "matching {new}",
        "not {old} but {new}",
        "I am looking for {new}",
        "{new} rather than {old}",
        "is {new}",
        "similar {new}",
    ),
}
