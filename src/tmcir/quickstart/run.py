"""The steps of the quickstart: draw, edit, train, measure, index and search.

Each step keeps what an earlier run finished, so that a stopped run resumes.
"""

from __future__ import annotations

import resource
import sys
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from tmcir.core.files import locked, write_text
from tmcir.core.progress import Progress
from tmcir.core.shipped import EDITOR_INDEX, shipped_names
from tmcir.evaluation import Report
from tmcir.gallery import Gallery
from tmcir.generation import generate, load_generate_recipe
from tmcir.models.loading import load
from tmcir.models.tmcir import TMCIR
from tmcir.quickstart.answers import answer, choose_queries
from tmcir.quickstart.comparison import Comparison, compare
from tmcir.quickstart.figures import table
from tmcir.quickstart.garments import write_garments
from tmcir.quickstart.page import render_page
from tmcir.rendered.catalogue import RenderedCatalogue
from tmcir.training import Recipe, load_recipe, train

TRAIN_RECIPE = "quickstart"
GENERATE_RECIPE = "quickstart-pseudo-targets"
PAGE = "quickstart.html"


class Console(Protocol):
    """Output of the quickstart for a person."""

    def print(self, line: str) -> None:
        """Print a line."""

    def progress(self, description: str) -> AbstractContextManager[Progress]:
        """Show the progress of a step."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of the quickstart; the defaults take two cores about five minutes.

    Attributes:
        garments: Number of garments to search.
        queries: Number of queries to measure.
        edits: Number of pseudo-targets.
        training: Settings of the recipe ``quickstart`` to change, as ``dotted.key=value``.
        generation: Settings of the recipe ``quickstart-pseudo-targets`` to change.
    """

    garments: int = 1000
    queries: int = 600
    edits: int = 384
    training: tuple[str, ...] = ()
    generation: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QuickstartReport:
    """The results of a quickstart.

    Attributes:
        page: The page with pictures, merge maps and figures.
        gallery: The gallery, ready to be searched.
        model: The folder of the model that was trained.
        reports: Evaluations after and before training, of the shipped model, and of the baselines.
        gain: After minus before of mAP@10 in points, with its 95% interval.
        seconds: Time of this run.
        memory: Its peak memory in bytes.
    """

    page: Path
    gallery: Path
    model: Path
    reports: tuple[Report, ...]
    gain: tuple[float, float, float]
    seconds: float
    memory: int

    def as_dict(self) -> dict[str, Any]:
        """Return the content as JSON has it."""
        reports = [report.as_dict() for report in self.reports]
        return {field.name: getattr(self, field.name) for field in fields(self)} | {
            "reports": reports
        }


def quickstart(folder: Path, console: Console, plan: Plan | None = None) -> QuickstartReport:
    """Draw a catalogue, make pseudo-targets, train, measure, index, search, and write a page.

    Args:
        folder: Folder of all results; created if missing.
        console: Prints lines and progress.
        plan: Sizes of the steps.

    Raises:
        TMCIRError: The folder holds something else, another quickstart is running in it, or it
            cannot be written.
    """
    with locked(folder / ".lock", f"{folder}: another quickstart is running in this folder"):
        return _Quickstart(folder, console, plan or Plan()).run()


@dataclass(frozen=True, slots=True)
class _Quickstart:
    folder: Path
    console: Console
    plan: Plan

    def run(self) -> QuickstartReport:
        began = time.monotonic()
        catalogue = self.draw()
        recipe = self.recipe(aligned=self.edit())
        model = self.train(recipe)
        compared = self.measure(recipe, model, catalogue)
        gallery = self.index(model, recipe, catalogue)
        self.console.print("6/6  answering queries")
        answers = [answer(gallery, model, catalogue, one) for one in choose_queries(catalogue)]
        write_text(self.folder / PAGE, render_page(compared, answers))
        return QuickstartReport(
            page=self.folder / PAGE,
            gallery=self.folder / "gallery",
            model=recipe.folder / "model",
            reports=compared.reports,
            gain=(compared.gain.value, compared.gain.low, compared.gain.high),
            seconds=time.monotonic() - began,
            memory=_peak_memory(),
        )

    def recipe(self, aligned: bool) -> Recipe:
        """Return the training recipe; without pseudo-targets, it has no stage align."""
        settings = [
            f"dataset.root={self.folder / 'catalogue'}",
            f"output={self.folder / 'training'}",
            f"stages.align.pseudo_targets={self.folder / 'pseudo-targets'}",
            *self.plan.training,
        ]
        return load_recipe(TRAIN_RECIPE, settings if aligned else [*settings, "stages.align=null"])

    def draw(self) -> RenderedCatalogue:
        """Draw the garments to train on and those to search; return the latter."""
        self.console.print("1/6  drawing a catalogue of garments")
        dataset = self.recipe(aligned=True).dataset
        with self.console.progress("garments to train on") as progress:
            dataset.open("train").prepare(progress)
        catalogue = RenderedCatalogue(
            dataset.root, "test", items=self.plan.garments, queries=self.plan.queries
        )
        with self.console.progress("garments to search") as progress:
            catalogue.prepare(progress)
        return catalogue

    def edit(self) -> bool:
        """Make pseudo-targets; return whether there are enough of them for stage align."""
        self.console.print("2/6  making pseudo-targets: diffusion edits garments as texts say")
        target = self.folder / "pseudo-targets"
        places = [f"dataset.root={self.folder / 'catalogue'}", f"output={target}"]
        settings = load_generate_recipe(GENERATE_RECIPE, [*places, *self.plan.generation])
        if settings.editor.source not in shipped_names(EDITOR_INDEX):
            self.console.print(
                "     this version ships no editor: the rest runs without pseudo-targets"
            )
            return False
        with self.console.progress("editing") as progress:
            report = generate(settings, limit=self.plan.edits, progress=progress)
        self.console.print(f"     {report.kept:,} of {self.plan.edits:,} passed the filters")
        align = self.recipe(aligned=True).stages.align
        return align is not None and report.kept >= align.batch_size

    def train(self, recipe: Recipe) -> TMCIR:
        """Train a new composition over the towers of the shipped model."""
        align = "aligning heads on pseudo-targets, then " if recipe.stages.align else ""
        self.console.print(
            f"3/6  training a new composition over the shipped model's towers: {align}fusing"
        )
        return load(train(recipe), device="cpu")

    def measure(self, recipe: Recipe, model: TMCIR, catalogue: RenderedCatalogue) -> Comparison:
        """Evaluate the composition before and after training, and other ways to compose."""
        self.console.print("4/6  measuring on garments that are not in the training data")
        start = load(str(recipe.model.source), device="cpu")
        with self.console.progress("encoding") as progress:
            compared = compare(start, model, catalogue, progress)
        for line in table(compared.reports):
            self.console.print(f"     {line}")
        self.console.print(f"     after - before, mAP@10: {compared.gain}: {compared.verdict}")
        return compared

    def index(self, model: TMCIR, recipe: Recipe, catalogue: RenderedCatalogue) -> Gallery:
        """Make a gallery of the garments, with their attributes as metadata."""
        self.console.print("5/6  indexing the catalogue")
        names = catalogue.tasks()[0].gallery
        garments = self.folder / "garments.csv"
        write_garments(garments, catalogue, names)
        source = str((recipe.folder / "model").absolute())
        gallery = Gallery.open(self.folder / "gallery", model, source=source)
        pictures = [catalogue.image_path(name) for name in names]
        with self.console.progress("indexing") as progress:
            gallery.add(pictures, garments, progress=progress)
        return gallery


def _peak_memory() -> int:
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
