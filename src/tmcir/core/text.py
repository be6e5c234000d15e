"""Text from outside, such as file names and table cells, made safe to print."""

from __future__ import annotations

from unicodedata import category

# Control characters, lone surrogates, private and unassigned code points, line separators.
_UNSAFE = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
# Characters that reorder what is around them: a name could look like another one.
_BIDIRECTIONAL = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))


def on_one_line(text: str) -> str:
    r"""Return a text with its control characters escaped (a line end as ``\n``), the rest as is.

    Letters of any script, joined emoji and spaces of any width stay: what is printed can be
    copied and used.
    """
    if text.isprintable():
        return text
    return "".join(_escape(character) for character in text)


def _escape(character: str) -> str:
    if category(character) in _UNSAFE or character in _BIDIRECTIONAL:
        return character.encode("unicode_escape").decode()
    return character
