"""The run: read the table, encode photos once, probe the columns, train heads, measure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from tmcir.core.errors import TMCIRError
from tmcir.core.files import locked, write_json, write_text
from tmcir.core.json_files import read_json
from tmcir.core.progress import Progress
from tmcir.data.catalogue import Catalogue, Column
from tmcir.data.catalogue.columns import column_table
from tmcir.data.dataset import Dataset
from tmcir.evaluation import embed, score
from tmcir.models.loading import load
from tmcir.models.storage import FORMAT
from tmcir.models.tmcir import TMCIR
from tmcir.training import train
from tmcir.tuning.card import tuned_card
from tmcir.tuning.features import EncodedPhotos
from tmcir.tuning.figures import COLUMNS, Comparison, compare
from tmcir.tuning.page import render_page
from tmcir.tuning.probe import Reading, read_columns
from tmcir.tuning.result import Tuned, as_json
from tmcir.tuning.settings import TuneSettings

PAGE, REPORT = "tune.html", "tune.json"
#: With fewer products in training and validation, nothing is learned that could be measured.
MINIMUM_PRODUCTS = 50


class Console(Protocol):
    """Output for a person."""

    def print(self, line: str) -> None:
        """Print a line."""

    def progress(self, description: str) -> AbstractContextManager[Progress]:
        """Show the progress of a step."""


def tune(settings: TuneSettings, console: Console) -> Tuned:
    """Tune a model on a catalogue.

    A run that was stopped resumes: photos that were encoded are not encoded again, and training
    continues at its last checkpoint.

    Args:
        settings: What to tune on what.
        console: Prints lines and progress.

    Raises:
        TMCIRError: Photos, table or model cannot be used, the table has no column that photos
            show, or the folder holds a run with other settings.
    """
    busy = f"{settings.output}: another `tmcir tune` is running in this folder"
    with locked(settings.folder / ".lock", busy):
        return _Tuning(settings, console).run()


@dataclass(slots=True)
class _Tuning:
    settings: TuneSettings
    console: Console
    left_out: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def run(self) -> Tuned:
        """Run all steps."""
        began = time.monotonic()
        catalogue = self.read()
        before = self.load()
        photos = self.encode(before, catalogue)
        columns = self.probe(catalogue, photos)
        train, test = (self.open(split, columns) for split in ("train", "test"))
        after = self.train(train, columns, before, photos)
        compared = self.measure(before, after, test, photos)
        return self.finish(compared, before, after, train, test, time.monotonic() - began)

    def open(self, split: str, columns: Sequence[str] | None) -> Catalogue:
        """Open a split of the catalogue."""
        return Catalogue(self.settings.photos, split, **self._options(columns))

    def _options(self, columns: Sequence[str] | None) -> dict[str, Any]:
        return self.settings.options(columns, self.broken)

    def read(self) -> Catalogue:
        """Read the table, and print what it holds."""
        self.console.print("1/5  reading the table")
        catalogue = self.open("train", None)
        for line in catalogue.notes:
            self.console.print(f"     {line}")
        products = {item.product for item in catalogue.products.items}
        if len(products) < MINIMUM_PRODUCTS:
            raise TMCIRError(
                f"{self.settings.metadata}: describes {len(products):,} products that have photos;"
                f" tuning needs at least {MINIMUM_PRODUCTS}, and some hundreds to gain anything"
            )
        self.left_out = {one.name: one.reason for one in catalogue.products.columns if one.reason}
        return catalogue

    def load(self) -> TMCIR:
        """Load the model to start from."""
        model = load(self.settings.model)
        _ = model.encoder  # a model without towers says that it cannot be trained
        return model

    def encode(self, model: TMCIR, catalogue: Catalogue) -> EncodedPhotos:
        """Encode every photo once."""
        photos = EncodedPhotos(model, self.settings.cache)
        names = catalogue.splits
        self.console.print(f"2/5  encoding {len(names):,} photos, each once")
        with self.console.progress("encoding photos") as progress:
            broken = photos.encode([catalogue.root / name for name in names], progress)
        self.broken = sorted(path.relative_to(catalogue.root).as_posix() for path in broken)
        for path in broken[:5]:
            self.console.print(f"     skipped {path}: it cannot be read as a photo")
        if len(broken) > 5:
            self.console.print(f"     skipped {len(broken) - 5:,} more photos")
        return photos

    def probe(self, catalogue: Catalogue, photos: EncodedPhotos) -> list[str]:
        """Print which columns photos show; return those that queries will change."""
        self.console.print("3/5  reading each column off the photos")
        items = [item for item in catalogue.products.items if self._is_seen(catalogue, item.name)]
        items = [item for item in items if photos.has(catalogue.root / item.name)]
        states = photos.raw([catalogue.root / item.name for item in items])
        readings = read_columns(catalogue.products.taken, items, states[0].flatten(1))
        chosen = self._choose(readings)
        self.left_out |= {
            one.column: f"photos do not show it: {one.figure}"
            for one in readings
            if one.column not in chosen
        }
        table = [self._judged(column) for column in catalogue.products.columns]
        figures = {one.column: one.figure for one in readings}
        for line in column_table(table, figures):
            self.console.print(f"     {line}")
        if not chosen:
            raise TMCIRError(
                "no column can be read off the photos: "
                + "; ".join(f"{one.column}: {one.figure}" for one in readings)
                + "; --columns takes a column all the same"
            )
        return chosen

    def _choose(self, readings: Sequence[Reading]) -> list[str]:
        if self.settings.columns is not None:
            for one in readings:
                if not one.readable:
                    self.console.print(
                        f"     note: photos hardly show {one.column!r} ({one.figure}); it was"
                        " asked for"
                    )
            return [one.column for one in readings]
        return [one.column for one in readings if one.readable]

    def _judged(self, column: Column) -> Column:
        return replace(column, reason=self.left_out.get(column.name, ""))

    def _is_seen(self, catalogue: Catalogue, name: str) -> bool:
        return catalogue.splits[name] != "test"

    def train(
        self, dataset: Catalogue, columns: Sequence[str], before: TMCIR, photos: EncodedPhotos
    ) -> TMCIR:
        """Train what is not frozen."""
        samples = len(dataset.training_triplets(0, self.settings.seed))
        if samples < 4:
            raise TMCIRError(
                f"{self.settings.metadata}: no two training photos differ in one of"
                f" {', '.join(columns)} and are alike in the rest"
            )
        recipe = self.settings.recipe(self._options(columns), samples, _is_trained(before))
        what = "heads and towers" if self.settings.full else "heads over frozen towers"
        self.console.print(f"4/5  training {what} on {samples:,} queries an epoch")

        def validate(model: TMCIR, validation: Dataset) -> tuple[str, float]:
            tasks = validation.tasks()
            own = None if self.settings.full else photos.by(model)
            encode, texts = (None, None) if own is None else (own.features, own.read)
            embedded = embed(model, validation, tasks, encode=encode, encode_texts=texts)
            report = score(embedded, validation)
            return report.headline, report.score

        states = None if self.settings.full else photos.states
        return load(train(recipe, validate, states=states))

    def measure(
        self, before: TMCIR, after: TMCIR, test: Catalogue, photos: EncodedPhotos
    ) -> Comparison:
        """Measure on held-out photos."""
        self.console.print("5/5  measuring on held-out photos")
        if not test.triplets:
            raise TMCIRError("the held-out photos give no query: the catalogue is too small")
        own = None if self.settings.full else photos.by(after).features
        compared = compare(before, after, test, (photos.by(before).features, own))
        queries, gallery = len(test.triplets), len(test.tasks()[0].gallery)
        head = (f"{queries:,} queries, {gallery:,} photos", *COLUMNS)
        for line in aligned([head, *compared.rows()]):
            self.console.print(f"     {line}")
        self.console.print("")
        head = ("by column", "queries", "R@10 before", "after", "mAP@10 before", "after")
        for line in aligned([head, *compared.column_rows()]):
            self.console.print(f"     {line}")
        gain = f"{compared.gain.value:+.2f} [{compared.gain.low:+.1f}, {compared.gain.high:+.1f}]"
        self.console.print(f"     after - before, mAP@10: {gain}: {compared.verdict}")
        return compared

    def finish(
        self,
        compared: Comparison,
        before: TMCIR,
        after: TMCIR,
        train: Catalogue,
        test: Catalogue,
        seconds: float,
    ) -> Tuned:
        """Write model, card, page and report."""
        settings = self.settings
        splits: dict[str, set[str]] = {}
        for item in train.products.items:
            splits.setdefault(train.splits[item.name], set()).add(item.product)
        tuned = Tuned(
            output=settings.output,
            page=settings.output / PAGE,
            better=compared.better,
            gain=(compared.gain.value, compared.gain.low, compared.gain.high),
            columns=tuple(column.name for column in train.products.taken),
            left_out=self.left_out,
            reports={name: report.as_dict() for name, report in compared.reports.items()},
            products={split: len(products) for split, products in sorted(splits.items())},
            seconds=seconds,
        )
        write_text(tuned.page, render_page(settings, tuned, compared, test))
        write_json(settings.output / REPORT, as_json(tuned))
        answer = after if compared.better else before
        answer.card = tuned_card(settings, tuned, compared)
        answer.half_precision_files = compared.better or _is_half(before)
        answer.save_pretrained(settings.output)
        return tuned


def _is_trained(model: TMCIR) -> bool:
    """Return whether a model composes by a trained method: published towers have a new one."""
    source = Path(model.name) / "config.json"
    return not source.exists() or read_json(source).get("format") == FORMAT


def _is_half(model: TMCIR) -> bool:
    """Return whether float16 holds the matrices of a model exactly, as it does where they were."""
    matrices = [weight for weight in model.state_dict().values() if weight.ndim > 1]
    return all(torch.equal(one.half().to(one.dtype), one) for one in matrices)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines of a table whose first column is text and whose others are figures."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]
