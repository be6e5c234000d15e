"""Names of columns and values as people say them: "navy blue", not "Navy_Blue"."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

_CAMEL = re.compile(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])")
_BLANKS = re.compile(r"[\s_]+")
_SHORT = 4  # longest abbreviation, such as XXL or USB, that keeps its capitals

#: Words of a column's name that say what it means; German, French, Spanish, Italian, too.
MEANINGS: dict[str, tuple[str, ...]] = {
    "colour": ("colour", "color", "colours", "colors", "farbe", "couleur", "colore", "kleur"),
    "size": ("size", "sizes", "größe", "groesse", "grösse", "taille", "talla", "taglia", "maat"),
    "material": ("material", "materials", "fabric", "textile", "stoff", "matière", "tessuto"),
    "gender": ("gender", "sex", "geschlecht", "genero", "género", "genere", "audience"),
    "season": ("season", "seasons", "saison", "temporada", "stagione", "seizoen"),
    "style": ("style", "usage", "occasion", "use", "stil", "estilo", "stile", "look"),
    "brand": ("brand", "marke", "marque", "marca", "maker", "manufacturer", "designer", "artist"),
    "pattern": ("pattern", "print", "muster", "motif", "patrón", "design"),
    "kind": (
        *("kind", "type", "category", "label", "class", "species", "subcategory", "article"),
        *("kategorie", "catégorie", "categoría", "categoria", "typ", "art", "tipo", "product"),
    ),
}
_YES = frozenset(["true", "yes", "y", "1", "x", "ja", "oui", "si", "sí"])
_NO = frozenset(["false", "no", "n", "0", "nein", "non"])


def said(name: str) -> str:
    """Return a value or a column's name as people say it: words in lower case.

    Example:
        >>> said("Navy_Blue"), said("baseColour"), said("XL"), said("T-Shirt")
        ('navy blue', 'base colour', 'XL', 't-shirt')
    """
    text = _BLANKS.sub(" ", _CAMEL.sub(" ", name)).strip()
    return text if text.isupper() and len(text) <= _SHORT else text.lower()


def meaning_of(name: str) -> str:
    """Return what a column's name means, the last word first; empty where nothing is known.

    Example:
        >>> meaning_of("baseColour"), meaning_of("articleType"), meaning_of("voltage")
        ('colour', 'kind', '')
    """
    for word in reversed(re.findall(r"[^\W\d]+", said(name).lower())):
        for meaning, names in MEANINGS.items():
            if word in names:
                return meaning
    return ""


def is_flag(values: Iterable[str]) -> bool:
    """Return whether values are those of a yes-or-no column."""
    given = {value.casefold() for value in values}
    return bool(given & _YES) and given <= _YES | _NO


def say_flag(value: str, column: str) -> str:
    """Return a yes or no as a person says it of a column: "kids", "not kids"."""
    return column if value.casefold() in _YES else f"not {column}"


def one_spelling(values: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Return one spelling for all that differ in case, blanks, hyphens and underscores only.

    Returns:
        The most frequent spelling (of equal counts the first in alphabetical order) by given
        value; and the values that have several, each with its spellings.
    """
    counts = Counter(values)
    forms: dict[str, list[str]] = defaultdict(list)
    for value in counts:
        forms[re.sub(r"[\s_\-]+", "", said(value).casefold())].append(value)
    spelling: dict[str, str] = {}
    several = []
    for same in forms.values():
        best = min(same, key=lambda value: (-counts[value], value))
        spelling.update(dict.fromkeys(same, best))
        if len(same) > 1:
            several.append(" = ".join(repr(value) for value in sorted(same)))
    return spelling, sorted(several)
