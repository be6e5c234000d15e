"""The attributes of the rendered garments as a metadata CSV such as a shop has."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from pathlib import Path

from tmcir.core.files import write_text
from tmcir.core.hashing import stable_number
from tmcir.rendered.catalogue import RenderedCatalogue
from tmcir.rendered.descriptions import describe

#: The table's columns, and the garment's attribute in each. SQL takes no column called trim.
COLUMNS = {
    "kind": "kind",
    "colour": "colour",
    "pattern": "pattern",
    "sleeve": "sleeve",
    "length": "length",
    "trimming": "trim",
}


def write_garments(path: Path, catalogue: RenderedCatalogue, names: Sequence[str]) -> None:
    """Write a row for each garment: image, title, ``COLUMNS``, price.

    An attribute that the garment's kind does not have is left empty. The price is made up, and
    always the same.

    Raises:
        TMCIRError: The file cannot be written.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["image", "title", *COLUMNS, "price"])
    for name in names:
        garment = catalogue.garment_of(name)
        title, *_ = describe(garment, random.Random(name))
        values = [garment.value(attribute) for attribute in COLUMNS.values()]
        price = 9.9 + 5 * (stable_number(name) % 18)
        file = catalogue.image_path(name).name
        writer.writerow([file, title[:1].upper() + title[1:], *values, f"{price:.2f}"])
    write_text(path, buffer.getvalue())
