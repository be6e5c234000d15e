"""Pseudo-targets on disk: what `tmcir generate` writes and stage align reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tmcir.core.errors import TMCIRError, first_line

MANIFEST = "manifest.parquet"
#: A row of the manifest. The similarities are null where no model was asked for them.
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # of the triplet
        pa.field("reference", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("target", pa.string()),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("editor", pa.string(), nullable=False),
        pa.field("settings", pa.string(), nullable=False),  # JSON
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("file", pa.string(), nullable=False),  # below the manifest's folder
        pa.field("directional", pa.float32()),
        pa.field("to_reference", pa.float32()),
        pa.field("brightness", pa.float32(), nullable=False),
        pa.field("saturated", pa.float32(), nullable=False),
        pa.field("rejected_by", pa.string(), nullable=False),  # a filter; "" where it was kept
    ]
)


@dataclass(frozen=True, slots=True)
class PseudoTarget:
    """One edited reference.

    Attributes:
        id: The triplet that it was made for.
        reference: Name of the image that was edited.
        text: The modification text that the editor was given.
        target: Name of the real target; None where it is not known.
        kind: The triplet's kind.
        file: The edited image.
        rejected_by: The filter that rejected it; empty where it was kept.
    """

    id: str
    reference: str
    text: str
    target: str | None
    kind: str
    file: Path
    rejected_by: str


def read_pseudo_targets(folder: Path, kept_only: bool = True) -> list[PseudoTarget]:
    """Read the manifest of a folder of pseudo-targets, in its own order.

    Args:
        folder: What `tmcir generate` wrote.
        kept_only: Skip what a filter rejected.

    Raises:
        TMCIRError: There is no finished manifest, or it is damaged or names files elsewhere.
    """
    path = folder / MANIFEST
    columns = ["id", "reference", "text", "target", "kind", "file", "rejected_by"]
    try:
        rows = pq.read_table(path, columns=columns).to_pylist()
    except FileNotFoundError:
        raise TMCIRError(
            f"{folder}: no {MANIFEST}; `tmcir generate` writes it when it is done"
        ) from None
    except (OSError, pa.ArrowException) as error:
        reason = first_line(error)
        raise TMCIRError(f"{path}: not a manifest of pseudo-targets: {reason}") from None
    return [
        PseudoTarget(**{**row, "file": _inside(folder, row["file"])})
        for row in rows
        if not (kept_only and row["rejected_by"])
    ]


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise TMCIRError(f"{folder / MANIFEST}: names a file outside of its folder: {name!r}")
    return path
