from __future__ import annotations

import pytest

from tmcir.core.text import on_one_line


@pytest.mark.parametrize(
    "text",
    [
        "größe",
        "größe\u00a05",
        "12\u202f000",
        "👩\u200d👧",
        "co\u00adoperate",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "a\\b",
        "",
    ],
)
def test_letters_spaces_and_joiners_stay(text: str) -> None:
    assert on_one_line(text) == text


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a\nb", "a\\nb"),
        ("größe\u00a05\tx", "größe\u00a05\\tx"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\u2066a\u2069", "\\u2066a\\u2069"),
        ("a\u2028b", "a\\u2028b"),
        ("\udcff.jpg", "\\udcff.jpg"),
        ("\ue000", "\\ue000"),
    ],
)
def test_what_could_move_or_hide_text_is_escaped(text: str, printed: str) -> None:
    assert on_one_line(text) == printed
