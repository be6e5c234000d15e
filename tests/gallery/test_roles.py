from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tmcir.gallery.roles import Roles, guess_roles
from tmcir.gallery.summaries import ColumnSummary

COUNT = 40
NAMES = [f"Blue shirt number {number}" for number in range(COUNT)]
ADDRESSES = [f"https://shop.example/p/{number}" for number in range(COUNT)]
PICTURES = [f"https://cdn.example/{number}.jpg?w=300" for number in range(COUNT)]
PRICES = [number + 0.5 for number in range(COUNT)]
PRODUCTS = [f"P{number // 4}" for number in range(COUNT)]
COLOURS = [("Red", "Navy Blue")[number % 2] for number in range(COUNT)]


def column(name: str, values: list[Any]) -> ColumnSummary:
    counts = Counter(value for value in values if value is not None)
    kind = {int: "integer", float: "number", str: "text"}[type(next(iter(counts)))]
    return ColumnSummary(
        name,
        kind,
        tuple(counts.most_common(100)),
        len(counts),
        sum(counts.values()),
        min(counts),
        max(counts),
    )


def guess(**columns: list[Any]) -> Roles:
    return guess_roles([column(name, values) for name, values in columns.items()])


def test_a_shops_table() -> None:
    roles = guess(
        product_id=PRODUCTS, title=NAMES, colour=COLOURS, price=PRICES, url=ADDRESSES,
        in_stock=["yes", "no"] * 20,
    )  # fmt: skip
    assert roles == Roles("title", "url", "price", "product_id")


@pytest.mark.parametrize(
    "columns",
    [
        {"url": ADDRESSES, "title": ["Blue shirt", "Red shirt"] * 20},  # of which some repeat
        {"url": ADDRESSES, "productDisplayName": NAMES},
        {"image": PICTURES, "Name": NAMES, "notes": [f"{name} again" for name in NAMES]},
        {"url": ADDRESSES, "Bezeichnung": NAMES},
        {"url": ADDRESSES, "what_it_is": NAMES, "colour": COLOURS},
    ],
)
def test_a_title_is_found_and_is_no_address(columns: dict[str, list[str]]) -> None:
    title = guess(**columns).title
    assert title not in (None, "url", "image", "notes", "colour")


@pytest.mark.parametrize(
    "columns",
    [
        {"url": ADDRESSES},
        {"title": ADDRESSES},
        {"colour": COLOURS},
        {"sku": [f"AB-{number}" for number in range(COUNT)]},
        {"year": list(range(COUNT))},
    ],
)
def test_what_is_no_title_is_none(columns: dict[str, list[Any]]) -> None:
    assert guess(**columns).title is None


@pytest.mark.parametrize(
    ("columns", "link"),
    [
        ({"image_url": PICTURES, "page": ADDRESSES}, "page"),
        ({"link": ADDRESSES, "canonical": ADDRESSES}, "link"),
        ({"canonical": ADDRESSES}, "canonical"),
        ({"url": PICTURES}, None),
        ({"url": ["javascript:alert(1)"] * COUNT}, None),
        ({"url": ["/p/1"] * COUNT}, None),
        ({"url": [*ADDRESSES[1:], "soon"]}, "url"),
        ({"url": [*ADDRESSES[5:], *PICTURES[:5]]}, None),
    ],
)
def test_a_link_leads_to_a_page(columns: dict[str, list[Any]], link: str | None) -> None:
    assert guess(**columns).link == link


@pytest.mark.parametrize(
    ("columns", "price"),
    [
        ({"Preis": PRICES, "weight": PRICES}, "Preis"),
        ({"list_price": PRICES, "sale_price": PRICES}, "sale_price"),
        ({"price": ["EUR 29.90", "\u20ac5"] * 20}, "price"),
        ({"price": ["low", "high"] * 20}, None),
        ({"weight": PRICES}, None),
    ],
)
def test_a_price_is_known_by_its_name(columns: dict[str, list[Any]], price: str | None) -> None:
    assert guess(**columns).price == price


@pytest.mark.parametrize(
    ("columns", "group"),
    [
        ({"product_id": PRODUCTS, "sku": NAMES}, "product_id"),
        ({"product_id": [1, 1, 2, 2] * 10}, "product_id"),
        ({"product_id": list(range(COUNT))}, None),  # one photo each: nothing to group
        ({"product_id": ["A", "A"] * 20}, None),
        ({"product": ["shoe", "shirt"] * 60}, None),  # a kind, not an article
        ({"colour": COLOURS}, None),
    ],
)
def test_a_group_is_shared_by_a_few(columns: dict[str, list[Any]], group: str | None) -> None:
    assert guess(**columns).group == group


def test_nothing_to_guess() -> None:
    assert guess_roles([]) == guess_roles([ColumnSummary("title", "text")]) == Roles()
