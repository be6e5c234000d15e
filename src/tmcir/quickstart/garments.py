"""What is known of the rendered garments, as a metadata CSV such as a shop has."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from tmcir.core.files import write_text
from tmcir.rendered.catalogue import RenderedCatalogue

COLUMNS = ("kind", "colour", "pattern", "sleeve", "length", "trim")


def write_garments(path: Path, catalogue: RenderedCatalogue, names: Sequence[str]) -> None:
    """Write a row for each garment; what its kind has not is left empty.

    Raises:
        TMCIRError: The file cannot be written.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["image", *COLUMNS])
    for name in names:
        garment = catalogue.garment_of(name)
        values = [garment.value(column) for column in COLUMNS]
        writer.writerow([catalogue.image_path(name).name, *values])
    write_text(path, buffer.getvalue())
