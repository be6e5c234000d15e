"""Search results as one HTML file that needs nothing else: thumbnails are embedded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tmcir.data.images import image_name, thumbnail
from tmcir.files import write_text
from tmcir.gallery.gallery import Hit
from tmcir.gallery.query import ImageSource
from tmcir.gallery.store import Value
from tmcir.pages import render

_SIDE = 320  # pixels; sharp on a screen of two pixels a point in columns of 160


@dataclass(frozen=True, slots=True)
class _Result:
    rank: int
    score: float
    id: str
    thumbnail: str
    metadata: Mapping[str, Value]


def render_page(
    hits: Sequence[Hit],
    image: ImageSource | None = None,
    text: str | None = None,
    where: str | None = None,
) -> str:
    """Return an HTML page that shows a query and its results.

    A photo that can no longer be read leaves a placeholder; its text is shown all the same.

    Args:
        hits: What `Gallery.search` returned.
        image: The query's image.
        text: The query's text.
        where: The query's filter.
    """
    return render(
        "tmcir.gallery",
        "search.html",
        image_name="" if image is None else Path(image_name(image)).name,
        image_thumbnail="" if image is None else thumbnail(image, _SIDE),
        text=(text or "").strip(),
        where=(where or "").strip(),
        results=[_result(hit) for hit in hits],
    )


def write_page(
    path: str | Path,
    hits: Sequence[Hit],
    image: ImageSource | None = None,
    text: str | None = None,
    where: str | None = None,
) -> None:
    """Write `render_page` to a file, completely or not at all.

    Raises:
        TMCIRError: The file cannot be written.
    """
    write_text(Path(path), render_page(hits, image, text, where))


def _result(hit: Hit) -> _Result:
    filled = {key: value for key, value in hit.metadata.items() if value is not None}
    return _Result(hit.rank, hit.score, hit.id, thumbnail(hit.path, _SIDE), filled)
