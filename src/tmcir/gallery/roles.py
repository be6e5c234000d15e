"""The roles of metadata columns: title, link, price and group of a product."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from tmcir.core.errors import unknown_choice
from tmcir.gallery.columns import plain_name
from tmcir.gallery.stores.base import ColumnKind
from tmcir.gallery.summaries import ColumnSummary

# Names that people give such columns, best first: letters and digits only, lower case.
_TITLES = (
    "title", "producttitle", "productname", "productdisplayname", "displayname", "itemname", "name",
    "titel", "produktname", "bezeichnung", "titre", "nom", "titulo", "nombre", "titolo", "nome",
)  # fmt: skip
_LINKS = ("producturl", "productlink", "url", "link", "href", "permalink", "pageurl", "page")
_PRICES = (
    "saleprice", "price", "currentprice", "listprice", "retailprice", "unitprice", "priceeur",
    "priceusd", "pricegbp", "preis", "prix", "precio", "prezzo", "preco", "cost", "amount",
)  # fmt: skip
_GROUPS = (
    "itemgroupid", "groupid", "productid", "productcode", "parentid", "parentsku", "styleid",
    "stylecode", "modelid", "articleid", "articlenumber", "product", "article", "style", "sku",
    "produktid", "artikelnummer", "artikel",
)  # fmt: skip
_ADDRESS = re.compile(r"https?://[^\s/]+", re.IGNORECASE)
_PICTURE = re.compile(r"\.(jpe?g|png|webp|gif|avif|svg|tiff?)(\?.*)?$", re.IGNORECASE)
_MINIMUM_DISTINCT = 0.5  # of a title, per photo; where no column has the name of one
_MINIMUM_PAGES = 0.9  # addresses of pages among the values of a link
_MAXIMUM_GROUP = 50  # photos a group, in the mean; a kind or a colour has more


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns of some roles; None where no column has the role.

    Attributes:
        title: Names the product.
        link: Address of the product's page.
        price: The product's price.
        group: The same for all photos of one product.
    """

    title: str | None = None
    link: str | None = None
    price: str | None = None
    group: str | None = None

    def or_else(self, others: Roles) -> Roles:
        """Return these roles, and the others' where there is none."""
        chosen = {name: value for name, value in asdict(self).items() if value is not None}
        return replace(others, **chosen)


def named_roles(roles: Roles, columns: Mapping[str, ColumnKind]) -> Roles:
    """Return roles with the names by which the gallery has their columns.

    Raises:
        TMCIRError: There is no such column.
    """
    stored = {plain_name(name).lower(): name for name in columns}
    found: dict[str, str | None] = {}
    for role, given in asdict(roles).items():
        found[role] = None if given is None else stored.get(plain_name(given).lower())
        if given is not None and found[role] is None:
            raise unknown_choice(f"{role} column", given, columns)
    return Roles(**found)


def guess_roles(columns: Sequence[ColumnSummary]) -> Roles:
    """Guess roles from names and values.

    An address is never a title. Links and prices must look like ones; a group must have values
    that several photos share.

    Args:
        columns: The metadata columns, in the order of the table.
    """
    return Roles(
        title=_best(_TITLES, columns, _may_be_title) or _most_distinct(columns),
        link=_best(_LINKS, columns, _may_be_link) or _first_link(columns),
        price=_best(_PRICES, columns, _may_be_price),
        group=_best(_GROUPS, columns, _may_be_group),
    )


def _best(
    names: Sequence[str],
    columns: Sequence[ColumnSummary],
    fits: Callable[[ColumnSummary], bool],
) -> str | None:
    """Return the column whose name comes first among ``names``."""
    places = {name: place for place, name in enumerate(names)}
    named = [column for column in columns if _plain(column.name) in places and fits(column)]
    best = min(named, key=lambda column: places[_plain(column.name)], default=None)
    return None if best is None else best.name


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def _texts(column: ColumnSummary) -> list[str]:
    return [value for value, _ in column.values if isinstance(value, str)]


def is_address(value: object) -> bool:
    """Return whether a value is an address of the web, and no script or path."""
    return isinstance(value, str) and _ADDRESS.match(value) is not None


def _may_be_title(column: ColumnSummary) -> bool:
    texts = _texts(column)
    return column.distinct > 1 and bool(texts) and not any(map(is_address, texts))


def _most_distinct(columns: Sequence[ColumnSummary]) -> str | None:
    """Return the column of words whose values repeat least."""
    named = [
        column
        for column in columns
        if _may_be_title(column)
        and not column.is_date
        and column.distinct >= _MINIMUM_DISTINCT * column.filled
        and sum(" " in text for text in _texts(column)) >= len(column.values) / 2
    ]
    best = max(named, key=lambda column: column.distinct, default=None)
    return None if best is None else best.name


def _may_be_link(column: ColumnSummary) -> bool:
    texts = _texts(column)
    pages = [text for text in texts if is_address(text) and not _PICTURE.search(text)]
    return bool(texts) and len(pages) >= _MINIMUM_PAGES * len(texts)


def _first_link(columns: Sequence[ColumnSummary]) -> str | None:
    return next((column.name for column in columns if _may_be_link(column)), None)


def _may_be_price(column: ColumnSummary) -> bool:
    if column.kind != "text":
        return column.filled > 0
    texts = _texts(column)  # such as "29.90 EUR"
    return bool(texts) and all(re.match(r"\D{0,4}\d", text) for text in texts)


def _may_be_group(column: ColumnSummary) -> bool:
    return 1 < column.distinct < column.filled <= _MAXIMUM_GROUP * column.distinct
