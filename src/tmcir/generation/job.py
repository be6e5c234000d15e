"""Making pseudo-targets: batches, shards, resuming, filters, a report."""

from __future__ import annotations

import io
import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

from PIL import Image

from tmcir.core.errors import ImageError, TMCIRError
from tmcir.core.files import locked, write_bytes
from tmcir.core.hashing import stable_name, stable_number
from tmcir.core.images import read_image
from tmcir.core.progress import Progress
from tmcir.data.dataset import Dataset, Triplet
from tmcir.generation.editor import Editor, load_editor
from tmcir.generation.filters import Scorer, judge
from tmcir.generation.manifest import Manifest, Row, counts
from tmcir.generation.page import write_page
from tmcir.generation.recipe import GenerateRecipe
from tmcir.models.loading import load
from tmcir.runs.folder import check_folder, claim_folder
from tmcir.runs.prefetch import prefetch

PART_ROWS = 64  # a kill loses at most these and the current batch
PART_SECONDS = 30.0
PAGE = "pseudo-targets.html"
_SUFFIX = {"png": "png", "jpeg": "jpg"}
# Thresholds decide only which pictures are kept: they may change between runs.
_CHANGEABLE = {
    "batch_size": True,
    "filters": {"min_directional", "min_reference", "min_brightness", "max_saturated"},
}


@dataclass(slots=True)
class GenerateReport:
    """Report of a run.

    Attributes:
        folder: Where the pseudo-targets are.
        made: Pseudo-targets of this run.
        skipped: (triplet id, reason) of each pseudo-target that could not be made.
        kept: Rows of the whole manifest that passed the filters.
        rejected: How many rows of the whole manifest each filter rejected.
        seconds: Time that this run took to edit, score and write.
    """

    folder: Path
    made: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    kept: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def images_per_second(self) -> float:
        """Pseudo-targets of this run by its time."""
        return self.made / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        """Return the figures as a few lines of text."""
        total = self.kept + sum(self.rejected.values())
        lines = [
            f"{self.folder}: {total:,} pseudo-targets, {self.made:,} of them made now"
            f" ({self.images_per_second:.1f} images/s, {len(self.skipped):,} skipped)",
            f"kept{self.kept:28,}",
            *(f"rejected by {name:12}{count:8,}" for name, count in sorted(self.rejected.items())),
            f"look at them: {self.folder / PAGE}",
        ]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Edit:
    """One picture to make."""

    triplet: Triplet
    text: str
    seed: int


def generate(
    recipe: GenerateRecipe,
    shard: tuple[int, int] = (1, 1),
    limit: int | None = None,
    progress: Progress | None = None,
) -> GenerateReport:
    """Make the pseudo-targets of a dataset's triplets that are not there yet.

    A run that was killed resumes. A triplet's picture depends only on the triplet and the recipe's
    seed, not on batch, shard or order.

    Args:
        recipe: What to make.
        shard: (i, n): make the i-th of n parts, counted from 1; the parts are about equal.
        limit: Number of triplets of the shard to make; None makes all.
        progress: Called with the number of pseudo-targets done, and of all.

    Raises:
        TMCIRError: A part of the recipe is not there, the folder holds another recipe's run, the
            shard runs in another process, or a file cannot be written.
    """
    number, shards = shard
    if not 1 <= number <= shards:
        raise TMCIRError(f"--shard {number}/{shards}: write i/n with i from 1 to n")
    name = f"{number}-of-{shards}"
    dataset = recipe.dataset.open(recipe.split)
    edits = _edits(recipe, dataset)
    own = [edit for edit in edits if stable_number(edit.triplet.id) % shards == number - 1][:limit]
    check_folder(recipe, _CHANGEABLE)  # before anything large is loaded
    manifest = Manifest(recipe.folder, name)
    report = GenerateReport(recipe.folder)
    busy = f"{recipe.folder}: another process is running shard {number}/{shards}"
    with locked(recipe.folder / f".{name}.lock", busy):
        done = manifest.files()
        waiting = [edit for edit in own if not _is_there(recipe, done.get(edit.triplet.id))]
        if waiting:
            _sweep(recipe, name, waiting)
            _make(recipe, dataset, waiting, manifest, report, len(own), progress)
    table = manifest.publish(
        lambda rows: judge(rows, recipe.filters), [edit.triplet.id for edit in edits]
    )
    report.rejected = counts(table)
    report.kept = report.rejected.pop("", 0)
    write_page(recipe.folder / PAGE, recipe, table, dataset)
    return report


def _edits(recipe: GenerateRecipe, dataset: Dataset) -> list[_Edit]:
    """Return the pictures to make, each triplet once, with its text and its seed."""
    draws = [dataset.triplets]
    if recipe.split == "train":
        draws = [dataset.training_triplets(epoch, recipe.seed) for epoch in range(recipe.draws)]
    triplets = {triplet.id: triplet for draw in reversed(draws) for triplet in reversed(draw)}
    edits = []
    for triplet in reversed(triplets.values()):
        seed = stable_number(f"{recipe.seed} {triplet.id}")
        text = random.Random(seed).choice(triplet.training_texts or (triplet.text,))
        edits.append(_Edit(triplet, text, seed))
    return edits


def _sweep(recipe: GenerateRecipe, shard: str, waiting: Sequence[_Edit]) -> None:
    """Remove partial files of killed processes; other shards may be writing at the same time."""
    own = {Path(_file_name(edit.triplet.id, recipe.image_format)).name for edit in waiting}
    for left in recipe.folder.glob("images/*/.*"):
        if left.name[1:].rpartition(".")[0] in own:
            left.unlink(missing_ok=True)
    for left in recipe.folder.glob(f"parts/.{shard}_*"):
        left.unlink(missing_ok=True)


def _make(
    recipe: GenerateRecipe,
    dataset: Dataset,
    waiting: Sequence[_Edit],
    manifest: Manifest,
    report: GenerateReport,
    total: int,
    progress: Progress | None,
) -> None:
    """Make the waiting pictures; a picture is written before the row that names it."""
    dataset.prepare()
    editor = load_editor(recipe.editor)
    scorer = Scorer(load(recipe.filters.scorer) if recipe.filters.scorer else None)
    # Only now: a recipe with a missing editor must not claim the folder.
    claim_folder(recipe, _CHANGEABLE)
    rows: list[Row] = []
    began = written = time.monotonic()
    finished = total - len(waiting)
    try:
        for batch, references in _read_ahead(dataset, waiting, recipe.batch_size, report):
            rows += _edit_batch(recipe, editor, scorer, batch, references)
            if len(rows) >= PART_ROWS or time.monotonic() - written >= PART_SECONDS:
                manifest.append(rows)
                report.made += len(rows)
                rows, written = [], time.monotonic()
            if progress is not None:
                progress(finished + report.made + len(rows) + len(report.skipped), total)
    finally:  # after an interrupt or on a full disk the finished pictures keep their rows
        if rows:
            manifest.append(rows)
            report.made += len(rows)
        report.seconds = time.monotonic() - began


def _read_ahead(
    dataset: Dataset, waiting: Sequence[_Edit], size: int, report: GenerateReport
) -> Iterator[tuple[list[_Edit], list[Image.Image]]]:
    """Yield batches and their references; a thread decodes the next batch."""

    def read(batch: Sequence[_Edit]) -> list[Image.Image | str]:
        return [_reference(dataset, edit) for edit in batch]

    batches = [waiting[start : start + size] for start in range(0, len(waiting), size)]
    with closing(prefetch(read, batches)) as read_batches:
        for batch, found in zip(batches, read_batches, strict=True):
            good: list[_Edit] = []
            images: list[Image.Image] = []
            for edit, image in zip(batch, found, strict=True):
                if isinstance(image, str):
                    report.skipped.append((edit.triplet.id, image))
                else:
                    good.append(edit)
                    images.append(image)
            if good:
                yield good, images


def _reference(dataset: Dataset, edit: _Edit) -> Image.Image | str:
    """Return the image to edit, or the reason why there is nothing to edit."""
    if not edit.text.strip():
        return "its text is empty: it asks for no change"
    try:
        return read_image(dataset.image_path(edit.triplet.reference))
    except ImageError as error:
        return str(error)


def _edit_batch(
    recipe: GenerateRecipe,
    editor: Editor,
    scorer: Scorer,
    batch: Sequence[_Edit],
    references: Sequence[Image.Image],
) -> list[Row]:
    texts = [edit.text for edit in batch]
    edited = editor.edit(references, texts, [edit.seed for edit in batch])
    names = [edit.triplet.reference for edit in batch]
    settings = json.dumps(editor.described, sort_keys=True)
    rows: list[Row] = []
    for edit, image, scores in zip(
        batch, edited, scorer.score(names, references, texts, edited), strict=True
    ):
        file = _file_name(edit.triplet.id, recipe.image_format)
        buffer = io.BytesIO()
        image.save(buffer, recipe.image_format.upper(), quality=95)
        write_bytes(recipe.folder / file, buffer.getvalue())
        rows.append(
            {
                "id": edit.triplet.id,
                "reference": edit.triplet.reference,
                "text": edit.text,
                "target": edit.triplet.target,
                "kind": edit.triplet.kind,
                "editor": editor.name,
                "settings": settings,
                "seed": edit.seed,
                "file": file,
                "rejected_by": "",
                **asdict(scores),
            }
        )
    return rows


def _is_there(recipe: GenerateRecipe, file: str | None) -> bool:
    """Return whether a picture has a row and its file exists."""
    return file is not None and (recipe.folder / file).is_file()


def _file_name(identifier: str, image_format: str) -> str:
    """Return a picture's file: a hash, because an id may hold any character, in 256 folders."""
    name = stable_name(identifier)
    return f"images/{name[:2]}/{name}.{_SUFFIX[image_format]}"
