"""Results of a gallery: hits, photos, and a summary of the gallery."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tmcir.gallery.model import describe
from tmcir.gallery.stores.approximate import RECALL_AT
from tmcir.gallery.stores.base import ColumnKind, ModelRecord, StoreInfo, Value


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result.

    Attributes:
        rank: 1 for the best.
        score: Cosine of query and image embedding.
        id: The photo's path relative to the folder that was added.
        path: Absolute path of the photo when it was added.
        metadata: Its metadata by column.
        duplicates: Ids of lower hits that are near-duplicates, merged into this one.
        grouped: Ids of lower hits of the same group, which this one stands for.
        relevance: In [0, 1], how far it stands out of the gallery; see `tmcir.gallery.relevance`.
    """

    rank: int
    score: float
    id: str
    path: Path
    metadata: dict[str, Value]
    duplicates: tuple[str, ...] = ()
    grouped: tuple[str, ...] = ()
    relevance: float = 0.0


def hit_fields(hit: Hit) -> dict[str, Any]:
    """Return a hit as `tmcir search --json` and the HTTP API show it, in JSON's types.

    The command line adds ``path``, the API ``thumbnail``.
    """
    return {
        "rank": hit.rank,
        "id": hit.id,
        "score": hit.score,
        "relevance": hit.relevance,
        "metadata": hit.metadata,
        "duplicates": list(hit.duplicates),
        "grouped": list(hit.grouped),
    }


@dataclass(frozen=True, slots=True)
class Item:
    """One photo of a gallery.

    Attributes:
        id: The photo's path relative to the folder that was added.
        path: Absolute path of the photo when it was added.
        metadata: Its metadata by column.
    """

    id: str
    path: Path
    metadata: dict[str, Value]


@dataclass(frozen=True, slots=True)
class GalleryInfo:
    """Summary of a gallery.

    Attributes:
        uri: Where it is.
        photos: How many there are.
        model: The model that made the vectors.
        columns: Metadata columns and their kinds.
        store: Precision, size and index.
        exact_up_to: Photos up to which searches compare the query with every photo.
        recall: Share of the exact first 50 that searches find, on a sample; None if not measured.
    """

    uri: str
    photos: int
    model: ModelRecord
    columns: dict[str, ColumnKind]
    store: StoreInfo
    exact_up_to: int
    recall: float | None = None

    def __str__(self) -> str:
        """Return lines for people."""
        store = self.store
        size = "" if store.size is None else f", {store.size / 2**20:,.1f} MiB"
        if self.photos <= self.exact_up_to:
            search = f"exact, up to {self.exact_up_to:,} photos"
        elif store.index:
            search = f"{store.index}, {store.indexed:,} photos indexed"
        else:
            search = "no index yet: every photo is compared"
        if self.recall is not None:
            search += f", recall@{RECALL_AT} {self.recall:.3f}"
        columns = ", ".join(f"{name} ({kind})" for name, kind in self.columns.items())
        lines = {
            "photos": f"{self.photos:,}{size}",
            "model": describe(self.model),
            "vectors": store.precision,
            "search": search,
            "columns": columns or "none",
        }
        return "\n".join([self.uri, *(f"{name:10}{value}" for name, value in lines.items())])
