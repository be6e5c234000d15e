"""From a recipe to a trained model directory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import set_seed

from tmcir.core.errors import TMCIRError
from tmcir.core.files import remove_abandoned, write_text
from tmcir.core.json_files import read_json
from tmcir.data.check import unusable_images
from tmcir.data.dataset import Dataset
from tmcir.data.skipping import Skipping
from tmcir.models.state_cache import StateCache
from tmcir.models.tmcir import TMCIR
from tmcir.runs.checkpoint import TrainingState
from tmcir.runs.folder import claim_folder
from tmcir.runs.loop import Score
from tmcir.training.building import add_adapters, build_model
from tmcir.training.card import model_card
from tmcir.training.checks import check_run, open_validation, validating_settings
from tmcir.training.fitting import train_stage
from tmcir.training.images import ImageStore
from tmcir.training.recipe import Recipe, StageSettings
from tmcir.training.stages import Stage, make_stages
from tmcir.training.tuning import TUNE, ScoreWeights, tune

STATE = "training.json"

ScoreModel = Callable[[TMCIR, Dataset], Score]
"""Scores a model on a dataset."""


def train(
    recipe: Recipe,
    score_model: ScoreModel | None = None,
    score_weights: ScoreWeights | None = None,
    states: StateCache | None = None,
) -> Path:
    """Train the recipe's stages and return the folder of the model.

    A stopped run resumes: a finished stage is loaded, a started one continues.

    Args:
        recipe: The recipe.
        score_model: Selects each stage's weights on the validation split; None keeps the last.
        score_weights: Scores the weights that stage tune chooses from; needed for it alone.
        states: Keeps what frozen towers encode on disk.

    Raises:
        TMCIRError: Something that the recipe needs is not there (all of it in one message), the
            folder holds another recipe's run, or a loss is not finite; or stage tune has nothing
            to score weights with.
        ImageError: An image is broken and the recipe does not skip such images.
    """
    if recipe.stages.tune is not None and score_weights is None:
        raise TMCIRError("stages.tune chooses by a validation score: give train a score_weights")
    check_run(recipe)
    accelerator = Accelerator(mixed_precision="bf16" if recipe.precision == "bfloat16" else "no")
    set_seed(recipe.seed)
    dataset = recipe.dataset.open("train")
    for note in dataset.notes:
        accelerator.print(f"note: {note}")
    with accelerator.main_process_first():
        claim_folder(recipe)
        dataset.prepare()
    skip = _broken(recipe, dataset, accelerator)
    model = build_model(recipe.model, Skipping(dataset, skip) if skip else dataset)
    accelerator.print(_start(recipe, model))
    validate = _validator(recipe, model, score_model, accelerator)
    done: list[tuple[str, TrainingState]] = []
    stages, files = make_stages(recipe, dataset, skip)
    _check_shares(stages, accelerator)
    store = ImageStore(
        model, lambda name: files.get(name) or dataset.image_path(name), recipe.image_memory, states
    )
    for stage, settings in stages:
        state = _run_stage(recipe, model, stage, settings, store, accelerator, validate)
        done.append((stage.name, state))
    if recipe.stages.tune is not None and score_weights is not None:
        model.to(accelerator.device)
        val, values = open_validation(recipe), recipe.stages.tune.values
        folder = recipe.folder / TUNE
        done.append((TUNE, tune(model, lambda: score_weights(model, val, values), folder)))
    target = recipe.folder / "model"
    model.card = model_card(recipe, model, done)
    model.half_precision_files = recipe.model.files == "float16"
    if accelerator.is_main_process:
        model.save_pretrained(target)
    accelerator.wait_for_everyone()
    accelerator.free_memory()  # threads that outlive the process group could wait for it forever
    accelerator.end_training()
    return target


def _start(recipe: Recipe, model: TMCIR) -> str:
    """Return a line that says what the training starts from."""
    settings, title = recipe.model, model.composer.title
    if settings.source is None:
        return f"model: new towers with a new method, {title}"
    if settings.method is None:
        return f"model: {settings.source} with its own method, {title} (model.method: a new one)"
    return f"model: the towers of {settings.source} with a new method, {title}"


def _check_shares(stages: list[tuple[Stage, StageSettings]], accelerator: Accelerator) -> None:
    processes = accelerator.num_processes
    for stage, settings in stages:
        if settings.batch_size % processes:
            raise TMCIRError(
                f"stages.{stage.name}.batch_size: {processes} processes cannot share a batch of"
                f" {settings.batch_size}"
            )


def _broken(recipe: Recipe, dataset: Dataset, accelerator: Accelerator) -> frozenset[str]:
    """Return the training images to skip, and print which they are."""
    if not recipe.dataset.skip_broken:
        return frozenset()
    broken = unusable_images(dataset, dataset.image_names())
    if broken:
        accelerator.print(f"{len(broken)} images are missing or broken and are skipped:")
        accelerator.print("  " + " ".join(broken))
    return frozenset(broken)


def _run_stage(
    recipe: Recipe,
    model: TMCIR,
    stage: Stage,
    settings: StageSettings,
    store: ImageStore,
    accelerator: Accelerator,
    validate: Callable[[], Score] | None,
) -> TrainingState:
    """Train a stage, or load it where it is finished, and say how far it came."""
    folder = recipe.folder / stage.name
    finished = folder / "model"
    if (finished / "config.json").exists():
        for place in (folder, finished):
            remove_abandoned(place)
        model.load_weights(finished / "model.safetensors")
        accelerator.print(f"{stage.name}  is finished: taken from {finished}")
        return read_json(finished / STATE, TrainingState)
    adapted = add_adapters(model, settings.lora)
    state = train_stage(
        model,
        stage,
        settings,
        store,
        folder,
        accelerator,
        seed=recipe.seed,
        checkpoint_minutes=recipe.checkpoint_minutes,
        validate=validate if settings.evaluate_every else None,
    )
    if adapted is not None:
        adapted.merge_and_unload()
    if accelerator.is_main_process:
        model.card = model_card(recipe, model, [(stage.name, state)])
        # Before the model, whose config.json says that the stage is finished.
        write_text(finished / STATE, json.dumps(asdict(state), indent=2) + "\n")
        model.save_pretrained(finished)
    accelerator.wait_for_everyone()
    return state


def _validator(
    recipe: Recipe, model: TMCIR, score_model: ScoreModel | None, accelerator: Accelerator
) -> Callable[[], Score] | None:
    """Return what scores the model on the validation split, in the precision of the training."""
    if score_model is None or not validating_settings(recipe):
        return None
    dataset = open_validation(recipe)

    def validate() -> Score:
        with accelerator.autocast():
            return score_model(model, dataset)

    return validate
