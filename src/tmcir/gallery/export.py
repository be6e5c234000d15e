"""A gallery as one Parquet file, for other programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from tmcir.core.files import staged_file
from tmcir.gallery.stores.base import ModelRecord


def write_parquet(path: Path, rows: pa.RecordBatchReader, model: ModelRecord) -> int:
    """Write rows to a Parquet file, completely or not at all, and return their number.

    The file's metadata says under ``tmcir.model`` which model made the vectors.

    Raises:
        TMCIRError: The file cannot be written.
    """
    schema = rows.schema.with_metadata({"tmcir.model": json.dumps(asdict(model))})
    count = 0
    with staged_file(path) as temporary, pyarrow.parquet.ParquetWriter(temporary, schema) as writer:
        for batch in rows:
            writer.write_batch(batch.cast(schema))
            count += batch.num_rows
    return count
