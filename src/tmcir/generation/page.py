"""A page on which a person judges pseudo-targets: reference, text, result, real target."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tmcir.core.files import write_text
from tmcir.core.images import thumbnail
from tmcir.core.pages import render
from tmcir.data.dataset import Dataset
from tmcir.generation.manifest import counts
from tmcir.generation.recipe import GenerateRecipe

EXAMPLES = 40
_SIDE = 160  # pixels


@dataclass(frozen=True, slots=True)
class _Example:
    row: dict[str, Any]
    reference: str
    edited: str
    target: str


def write_page(path: Path, recipe: GenerateRecipe, table: pa.Table, dataset: Dataset) -> None:
    """Write a page of random pseudo-targets; the recipe's seed chooses them.

    Args:
        path: The file.
        recipe: What they were made by.
        table: The manifest, see ``SCHEMA``.
        dataset: Has the references and the real targets.

    Raises:
        TMCIRError: The file cannot be written.
    """
    places = range(table.num_rows)
    chosen = random.Random(recipe.seed).sample(places, min(EXAMPLES, table.num_rows))
    rows = table.take(pa.array(chosen, pa.int64())).to_pylist()
    found = counts(table)
    page = render(
        "tmcir.generation",
        "pseudo_targets.html",
        name=recipe.name,
        editor=recipe.editor.source,
        total=table.num_rows,
        kept=found.pop("", 0),
        rejected=sorted(found.items()),
        examples=[_example(row, recipe.folder, dataset) for row in rows],
    )
    write_text(path, page)


def _example(row: dict[str, Any], folder: Path, dataset: Dataset) -> _Example:
    target = None if row["target"] is None else dataset.find_image(row["target"])
    reference = dataset.find_image(row["reference"])
    return _Example(
        row=row,
        reference=thumbnail(reference, _SIDE) if reference else "",
        edited=thumbnail(folder / row["file"], _SIDE),
        target=thumbnail(target, _SIDE) if target else "",
    )
