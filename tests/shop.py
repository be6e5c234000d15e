"""A tiny shop: drawn squares whose kind and colour a table gives, and columns no photo shows."""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

import tmcir
from tests.tiny_encoders import save_dual
from tmcir.models import TMCIR

COLOURS = {"Red": (200, 30, 30), "Navy_Blue": (30, 30, 120), "Green": (30, 160, 30)}
KINDS = {"Jeans": 16, "Caps": 8, "Socks": 4}
Row = Mapping[str, object]


def rows(count: int = 120) -> list[dict[str, object]]:
    """Return products: kind and colour can be seen, season and price cannot."""
    generator = random.Random(0)
    found: list[dict[str, object]] = []
    for number in range(count):
        colour, kind = list(COLOURS)[number % 3], list(KINDS)[(number // 3) % 3]
        found.append(
            {
                "id": f"p{number:04d}",
                "title": f"Model {generator.randrange(10**6)} {colour} {kind}",
                "kind": kind,
                "colour": colour,
                "season": generator.choice(["Summer", "Winter"]),
                "price": f"{generator.uniform(5, 90):.2f}",
            }
        )
    return found


def draw_photo(path: Path, colour: object, kind: object, seed: int) -> None:
    """Draw a square, whose place makes the photo differ from all others."""
    generator = random.Random(seed)
    image = Image.new("RGB", (32, 32), (255, 255, 240 + seed % 16))
    side = KINDS[str(kind)]
    left, top = generator.randrange(32 - side), generator.randrange(32 - side)
    box = (left, top, left + side - 1, top + side - 1)
    ImageDraw.Draw(image).rectangle(box, fill=COLOURS[str(colour)])
    image.save(path)


def write_table(path: Path, table: Sequence[Row]) -> Path:
    """Write a CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return path


def draw_shop(folder: Path, table: Sequence[Row] | None = None) -> tuple[Path, Path]:
    """Draw a photo for each row, and write the table beside them."""
    table = rows() if table is None else table
    photos = folder / "photos"
    photos.mkdir(parents=True)
    for number, row in enumerate(table):
        draw_photo(photos / f"{row['id']}.png", row["colour"], row["kind"], number)
    return photos, write_table(folder / "shop.csv", table)


def save_start(folder: Path, photos: Path) -> Path:
    """Write a tiny dual encoder, whose heads and gate are untrained."""
    model = tmcir.load(save_dual(folder / "dual"))
    files = sorted(photos.iterdir())[::4]
    model.encoder.calibrate(model.preprocess(files))
    TMCIR(model.encoder, "gate", {"hidden_size": 16}).save_pretrained(folder / "start")
    return folder / "start"
