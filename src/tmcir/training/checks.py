"""Checks before a run, before anything is loaded or written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tmcir.core.errors import TMCIRError
from tmcir.core.files import require_writable
from tmcir.data.check import unusable_images
from tmcir.data.dataset import Dataset, missing_images
from tmcir.data.skipping import Skipping
from tmcir.runs.folder import RECIPE, check_folder
from tmcir.training.recipe import Recipe, StageSettings
from tmcir.training.stages import make_stages


def check_run(recipe: Recipe) -> None:
    """Check that a run can start and finish, before it starts.

    Raises:
        TMCIRError: Names everything that is missing or does not fit.
    """
    problems = [
        *_source_problems(recipe),
        *_training_problems(recipe),
        *_validation_problems(recipe),
        *_folder_problems(recipe),
    ]
    if problems:
        raise TMCIRError(f"recipe {recipe.name}: " + "; ".join(dict.fromkeys(problems)))


def open_validation(recipe: Recipe) -> Dataset:
    """Open the validation split, without broken images where the recipe skips them.

    Raises:
        TMCIRError: The dataset has no such split, or a file of it is missing or malformed.
    """
    dataset = recipe.dataset.open("val")
    if not recipe.dataset.skip_broken:
        return dataset
    broken = unusable_images(dataset, dataset.image_names())
    return Skipping(dataset, broken) if broken else dataset


def validating_settings(recipe: Recipe) -> list[str]:
    """Return the settings that ask for a validation split."""
    listed = recipe.stages
    settings = [
        f"stages.{name}.evaluate_every"
        for name in type(listed).model_fields
        if isinstance(stage := getattr(listed, name), StageSettings) and stage.evaluate_every
    ]
    return settings + (["stages.tune"] if listed.tune is not None else [])


def _source_problems(recipe: Recipe) -> Iterator[str]:
    source = recipe.model.source
    if source is not None and source.startswith((".", "/", "~")) and not Path(source).is_dir():
        yield f"model.source: no such directory: {source}"


def _training_problems(recipe: Recipe) -> Iterator[str]:
    try:
        dataset = recipe.dataset.open("train")
        yield from _missing(dataset, skip_broken=recipe.dataset.skip_broken)
    except TMCIRError as error:
        yield f"dataset: {error}"
        return
    try:
        stages, _ = make_stages(recipe, dataset)
    except TMCIRError as error:
        yield f"stages.align: {error}"
        return
    for stage, settings in stages:
        samples = len(stage.samples(0))
        if samples < settings.batch_size:
            yield (
                f"stages.{stage.name}.batch_size: {samples} samples do not fill a batch of"
                f" {settings.batch_size}"
            )


def _validation_problems(recipe: Recipe) -> Iterator[str]:
    asking = validating_settings(recipe)
    if not asking:
        return
    setting = asking[0]
    way_out = "" if setting == "stages.tune" else "; 0 keeps the last weights without validation"
    try:
        dataset = open_validation(recipe)
        yield from _missing(dataset, skip_broken=False)
        for task in dataset.tasks():
            for what, found in (("queries", task.triplets), ("gallery", task.gallery)):
                if not found:
                    yield f"{setting}: the val split of {task.name} has no {what}{way_out}"
    except TMCIRError as error:
        yield f"{setting}: {error}{way_out}"


def _folder_problems(recipe: Recipe) -> Iterator[str]:
    try:
        require_writable(recipe.folder / RECIPE)
        check_folder(recipe)
    except TMCIRError as error:
        yield f"output: {error}"


def _missing(dataset: Dataset, skip_broken: bool) -> Iterator[str]:
    if skip_broken:
        return
    names = dataset.image_names()
    missing = [name for name in names if not dataset.has_image(name)]
    if missing:
        yield f"dataset, split {dataset.split}: {missing_images(dataset, missing, len(names))}"
