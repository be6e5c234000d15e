"""Search results as one HTML file that needs nothing else: thumbnails are embedded."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tmcir.core.files import write_text
from tmcir.core.images import data_uri, image_name, thumbnail
from tmcir.core.pages import render
from tmcir.gallery.gallery import Gallery
from tmcir.gallery.hints import tune_hint
from tmcir.gallery.query import Query
from tmcir.gallery.results import Hit
from tmcir.gallery.roles import Roles, is_address
from tmcir.gallery.stores.base import Value
from tmcir.models.explained import Explanation
from tmcir.models.explanation import explanation_view

_SIDE = 320  # pixels; sharp on a screen of two pixels a point in columns of 160


@dataclass(frozen=True, slots=True)
class _Result:
    hit: Hit
    title: str
    price: Value
    link: str
    thumbnail: str
    metadata: Mapping[str, Value]


def render_page(
    hits: Sequence[Hit],
    query: Query,
    where: str | None = None,
    thumbnails: Mapping[str, bytes] | None = None,
    explanation: Explanation | None = None,
    roles: Roles | None = None,
    hint: str = "",
) -> str:
    """Return an HTML page that shows a query, its results, and why.

    A photo without a thumbnail that can no longer be read leaves a placeholder; its text is shown
    all the same.

    Args:
        hits: What a search for the query returned.
        query: The query.
        where: Its filter.
        thumbnails: JPEG files by id; photos that are missing here are read from their files.
        explanation: The model's account of the query; shown below the results.
        roles: Columns that name the products, price them and lead to their pages.
        hint: A line below the results.
    """
    stored = thumbnails or {}
    picture, name, reference = "", "", query.image
    if query.image is not None:
        picture, name = thumbnail(query.image, _SIDE), Path(image_name(query.image)).name
    elif query.item is not None:
        picture, name = _stored(stored, query.item), query.item
        if query.item in stored:
            reference = Image.open(io.BytesIO(stored[query.item]))
    return render(
        "tmcir.gallery",
        "search.html",
        image_name=name,
        image_thumbnail=picture,
        text=query.text.strip(),
        where=(where or "").strip(),
        examples={"more like": query.more_like, "less like": query.less_like},
        explanation=None
        if explanation is None or reference is None
        else explanation_view(explanation, reference),
        results=[_result(hit, stored, roles or Roles()) for hit in hits],
        hint=hint,
    )


def write_page(
    path: str | Path,
    gallery: Gallery,
    query: Query,
    hits: Sequence[Hit],
    where: str | None = None,
) -> None:
    """Write `render_page` to a file, completely or not at all.

    Raises:
        TMCIRError: The file cannot be written.
    """
    shown = [hit.id for hit in hits] + ([] if query.item is None else [query.item])
    thumbnails = {name: gallery.thumbnail(name) for name in shown}
    explained = query.has_reference and query.text.strip()
    explanation = gallery.explain(query) if explained else None
    roles = gallery.roles() if hits else None
    page = render_page(hits, query, where, thumbnails, explanation, roles, tune_hint(gallery))
    write_text(Path(path), page)


def _result(hit: Hit, stored: Mapping[str, bytes], roles: Roles) -> _Result:
    filled = {key: value for key, value in hit.metadata.items() if value is not None}
    title, price, link = (
        None if column is None else filled.pop(column, None)
        for column in (roles.title, roles.price, roles.link)
    )
    return _Result(
        hit=hit,
        title=hit.id if title is None else str(title),
        price=price,
        link=str(link) if is_address(link) else "",
        thumbnail=_stored(stored, hit.id) or thumbnail(hit.path, _SIDE),
        metadata=filled,
    )


def _stored(thumbnails: Mapping[str, bytes], name: str) -> str:
    return data_uri(thumbnails[name]) if name in thumbnails else ""
