"""The settings of a benchmark: a training recipe and its changes per cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.runs.recipes import load_settings, parse_override
from tmcir.runs.settings import RecipeSettings, Settings


class CellSettings(Settings):
    """One row of the table: a way to compose queries, trained as the base recipe says."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="Names the cell's folder.")
    title: str = Field(default="", description="Its name in the table; by default `name`.")
    group: Literal["baseline", "ablation", "method"] = Field(description="Its group in the table.")
    overrides: dict[str, Any] = Field(
        default={}, description="Settings of the base recipe to change, by dotted name."
    )
    towers_of: str | None = Field(
        default=None,
        description="Start from the trained towers of this cell, which comes before, without stage"
        " align.",
    )
    compose: Literal["image", "text", "sum"] | None = Field(
        default=None, description="Train nothing: compose this way over the towers of `towers_of`."
    )

    @property
    def label(self) -> str:
        """Its name in the table."""
        return self.title or self.name

    @model_validator(mode="after")
    def _untrained(self) -> CellSettings:
        if self.compose is not None and (self.towers_of is None or self.overrides):
            raise ValueError("compose needs towers_of, and takes no overrides")
        return self


class BenchmarkRecipe(RecipeSettings):
    """A whole benchmark."""

    command: Literal["benchmark"] = Field(
        default="benchmark", description="The command of the recipe."
    )
    base: str = Field(description="The training recipe: the name of a shipped one, or a YAML file.")
    overrides: dict[str, Any] = Field(
        default={}, description="Settings of the base recipe to change in every cell."
    )
    split: str | None = Field(
        default=None, description="The split that is measured; none: the dataset's usual one."
    )
    protocol: str | None = Field(
        default=None, description="The evaluation protocol; none: the dataset's first."
    )
    seeds: tuple[int, ...] = Field(
        default=(0, 1, 2), min_length=1, description="Each cell is trained once per seed."
    )
    compare_with: str = Field(
        default="tmcir", description="The cell that every other is compared with."
    )
    compare_by: tuple[str, ...] = Field(
        default=(),
        description="The figures that the table compares; none: the protocol's headline.",
    )
    cells: tuple[CellSettings, ...] = Field(min_length=1, description="The rows of the table.")

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is given twice")
        return seeds

    @model_validator(mode="after")
    def _cells_fit(self) -> BenchmarkRecipe:
        before: set[str] = set()
        for cell in self.cells:
            if cell.name in before:
                raise ValueError(f"two cells have the name {cell.name!r}")
            if cell.towers_of is not None and cell.towers_of not in before:
                raise ValueError(f"cell {cell.name}: no cell {cell.towers_of!r} comes before it")
            before.add(cell.name)
        if self.compare_with not in before:
            raise ValueError(str(unknown_choice("cell to compare with", self.compare_with, before)))
        return self

    def cell(self, name: str) -> CellSettings:
        """Return a cell by its name.

        Raises:
            TMCIRError: There is no such cell.
        """
        for cell in self.cells:
            if cell.name == name:
                return cell
        raise unknown_choice("cell", name, [cell.name for cell in self.cells])

    def choose(self, names: Sequence[str]) -> tuple[CellSettings, ...]:
        """Return these cells and those whose towers they start from, in the recipe's order.

        Raises:
            TMCIRError: There is no such cell.
        """
        chosen = set()
        for name in names:
            cell: CellSettings | None = self.cell(name)
            while cell is not None:
                chosen.add(cell.name)
                cell = None if cell.towers_of is None else self.cell(cell.towers_of)
        return tuple(cell for cell in self.cells if cell.name in chosen)


def load_benchmark(source: str | Path, overrides: Sequence[str] = ()) -> BenchmarkRecipe:
    """Read a benchmark's recipe and check all of it.

    Args:
        source: Name of a shipped recipe, or a YAML file.
        overrides: ``dotted.key=value``: settings of the benchmark, or else of the base recipe in
            every cell.

    Raises:
        TMCIRError: The recipe is unknown, for another command, or has errors; all are named.
    """
    own, base = [], {}
    for override in overrides:
        key, value = parse_override(override)
        if key == "seed":
            raise TMCIRError(f"{override}: a benchmark has several seeds, given with --seeds")
        if key.partition(".")[0] in BenchmarkRecipe.model_fields:
            own.append(override)
        else:
            base[key] = value
    recipe = load_settings(BenchmarkRecipe, source, own)
    return recipe.model_copy(update={"overrides": {**recipe.overrides, **base}})
