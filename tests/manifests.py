"""A manifest of pseudo-targets, written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tmcir.data.pseudo_targets import MANIFEST, SCHEMA

_ROW: dict[str, Any] = {
    **dict.fromkeys(SCHEMA.names, ""),
    "target": None,
    "seed": 0,
    "directional": None,
    "to_reference": None,
    "brightness": 0.5,
    "saturated": 0.0,
}


def write_manifest(folder: Path, *rows: dict[str, Any]) -> Path:
    """Write rows of which only the columns are given that matter; ids count from 0."""
    folder.mkdir(exist_ok=True)
    content = [{**_ROW, "id": str(number), **row} for number, row in enumerate(rows)]
    pq.write_table(pa.Table.from_pylist(content, SCHEMA), folder / MANIFEST)
    return folder
