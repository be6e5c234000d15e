"""The texts of queries and the captions of photos, from attributes."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tmcir.data.catalogue.columns import Column
from tmcir.data.catalogue.pairs import Change
from tmcir.data.catalogue.phrases import Phrases
from tmcir.data.catalogue.reading import Item

#: How many texts a training query has to draw from.
TEXTS = 5
_CAPTIONS = 4
# The order in which English puts attributes before a thing.
_BEFORE = ("size", "style", "colour", "pattern", "material")
_AFTER = {"gender": "for {}", "season": "for {}", "brand": "by {}"}


class Texts:
    """Writes texts over the taken columns of a catalogue.

    Args:
        columns: The taken columns.
        phrases: The forms.
    """

    def __init__(self, columns: Sequence[Column], phrases: Phrases) -> None:
        self._columns = columns
        self._phrases = phrases
        kinds = [place for place, column in enumerate(columns) if column.meaning == "kind"]
        # the finest: of "category" and "type" it is the type that a person says
        self._kind = max(kinds, key=lambda place: len(columns[place].values), default=None)

    def choose(
        self, item: Item, changes: Sequence[Change], generator: random.Random, count: int
    ) -> tuple[str, ...]:
        """Return up to ``count`` different texts for changes of an item."""
        found = self._all(item, changes, generator)
        distinct = list(dict.fromkeys(found))
        return tuple(generator.sample(distinct, min(count, len(distinct))))

    def captions(self, item: Item, with_own: bool = True) -> tuple[str, ...]:
        """Return texts that describe an item: its own if asked, and its values in a few orders."""
        own = item.texts if with_own else ()
        said = [
            (column.meaning, self._phrases.value(column.name, value))
            for column, values in zip(self._columns, item.values, strict=True)
            for value in values
        ]
        if not said:
            return own
        # equal items have equal texts, so that towers read each once
        generator = random.Random("\n".join(value for _, value in said))
        before = [value for meaning, value in said if meaning in _BEFORE]
        kinds = [value for meaning, value in said if meaning == "kind"]
        after = [_AFTER[meaning].format(value) for meaning, value in said if meaning in _AFTER]
        known = (*_BEFORE, *_AFTER, "kind")
        others = [value for meaning, value in said if meaning not in known]
        texts = [" ".join([*before, *kinds, *after]) + "".join(f", {one}" for one in others)]
        plain = [value for _, value in said]
        for _ in range(_CAPTIONS - 1):
            chosen = generator.sample(plain, generator.randint(max(1, len(plain) - 2), len(plain)))
            texts.append(generator.choice((" ", ", ")).join(chosen))
        return tuple(dict.fromkeys([*own, *(text.strip(" ,") for text in texts)]))

    def _all(self, item: Item, changes: Sequence[Change], generator: random.Random) -> list[str]:
        """Return every text for one change, and some for two."""
        if len(changes) == 1:
            (change,) = changes
            column = self._columns[change.column]
            forms = self._phrases.forms(column.name, column.meaning)
            return self._fill(self._phrases.without if change.new is None else forms, item, change)
        first, second = generator.sample(list(changes), 2)
        parts = [self._short(change) for change in (first, second)]
        return [form.format(first=parts[0], second=parts[1]) for form in self._phrases.two]

    def _short(self, change: Change) -> str:
        column = self._columns[change.column]
        form = self._phrases.short_form(column.name, column.meaning)
        return self._fill((form,), None, change)[0]

    def _fill(self, forms: Sequence[str], item: Item | None, change: Change) -> list[str]:
        """Fill in all forms whose fields are known; the first one as far as possible if none is."""
        column = self._columns[change.column]
        fields = {"column": column.said, "kind": self._kind_of(item, change)}
        for name, value in (("old", change.old), ("new", change.new)):
            fields[name] = "" if value is None else self._phrases.value(column.name, value)
        empty = [f"{{{name}}}" for name, value in fields.items() if not value]
        usable = [form for form in forms if not any(one in form for one in empty)]
        return [form.format(**fields) for form in usable or ["{new}"]]

    def _kind_of(self, item: Item | None, change: Change) -> str:
        if self._kind is None or item is None or change.column == self._kind:
            return ""
        values = item.values[self._kind]
        return self._phrases.value(self._columns[self._kind].name, values[0]) if values else ""
