"""Draw README's picture: what a model answers to three queries over the quickstart's garments.

Usage: python docs/picture.py [--model mini] [--folder runs/quickstart]

The queries are the first of each kind of change in the catalogue, whatever the model makes of them.
"""

from __future__ import annotations

import argparse
import tempfile
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import tmcir
from tmcir.core.images import read_image
from tmcir.rendered.catalogue import RenderedCatalogue

PICTURE = Path(__file__).parent / "images" / "results.png"
#: Kinds of change, one query each: the first of the quickstart's test garments.
KINDS = ("colour", "sleeve", "trim")
RESULTS = 5
SIDE, GAP, TEXT = 132, 8, 210  # pixels
INK, LINE, GROUND = "#1b1f24", "#b9c0c8", "#ffffff"


def main() -> None:
    """Search, and write the picture."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="mini")
    parser.add_argument("--folder", type=Path, default=Path("runs/quickstart"))
    options = parser.parse_args()
    catalogue = RenderedCatalogue(options.folder / "catalogue", "test", items=1000, queries=600)
    catalogue.draw()
    names = catalogue.tasks()[0].gallery
    queries = [next(one for one in catalogue.triplets if one.kind == kind) for kind in KINDS]
    with tempfile.TemporaryDirectory() as folder:
        gallery = tmcir.Gallery.open(Path(folder) / "gallery", options.model)
        gallery.add([catalogue.image_path(name) for name in names])
        rows = [_row(gallery, catalogue.image_path(one.reference), one.text) for one in queries]
    width = rows[0].width
    picture = Image.new("RGB", (width, len(rows) * (SIDE + GAP) - GAP), GROUND)
    for place, row in enumerate(rows):
        picture.paste(row, (0, place * (SIDE + GAP)))
    PICTURE.parent.mkdir(exist_ok=True)
    # The garments have few colours: a palette makes the file several times smaller.
    picture.quantize(192).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")  # noqa: T201


def _row(gallery: tmcir.Gallery, reference: Path, text: str) -> Image.Image:
    """Return one query and its results, side by side."""
    hits = gallery.search(image=reference, text=text, k=RESULTS, where=f"id != '{reference.name}'")
    row = Image.new("RGB", (SIDE + TEXT + RESULTS * (SIDE + GAP) - GAP, SIDE), GROUND)
    row.paste(_photo(reference), (0, 0))
    draw = ImageDraw.Draw(row)
    font = ImageFont.load_default(17)
    middle = SIDE + TEXT // 2
    wrapped = textwrap.fill(f"“{text}”", 24)
    draw.text((middle, SIDE // 2 - 6), wrapped, INK, font, anchor="md", align="center")
    draw.line((SIDE + 24, SIDE // 2 + 8, SIDE + TEXT - 24, SIDE // 2 + 8), LINE, 2)
    tip = (SIDE + TEXT - 20, SIDE // 2 + 8)
    draw.polygon([tip, (tip[0] - 9, tip[1] - 6), (tip[0] - 9, tip[1] + 6)], LINE)
    for place, hit in enumerate(hits):
        row.paste(_photo(hit.path), (SIDE + TEXT + place * (SIDE + GAP), 0))
    return row


def _photo(path: Path) -> Image.Image:
    return read_image(path).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
