"""From a recipe to a trained model directory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import set_seed
from peft import LoraConfig, PeftModel, get_peft_model

from tmcir.core.errors import TMCIRError
from tmcir.core.files import remove_abandoned, require_writable, write_text
from tmcir.core.json_files import read_json
from tmcir.data.check import unusable_images
from tmcir.data.dataset import Dataset, missing_images
from tmcir.models.encoders.clip import ClipEncoder, build_clip
from tmcir.models.encoders.dual import DualEncoder
from tmcir.models.loading import load
from tmcir.models.preprocessing import ImagePreprocessor
from tmcir.models.tmcir import TMCIR
from tmcir.models.tokenizer import train_tokenizer
from tmcir.runs.checkpoint import TrainingState
from tmcir.runs.folder import claim_folder
from tmcir.runs.loop import Score
from tmcir.training.card import model_card
from tmcir.training.fitting import parameter_groups, train_stage
from tmcir.training.images import ImageStore
from tmcir.training.pairing import make_pairing
from tmcir.training.recipe import LoraSettings, ModelSettings, Recipe, StageSettings
from tmcir.training.stages import Stage, align, fuse, invert
from tmcir.training.tuning import TUNE, ScoreWeights, tune

STATE = "training.json"
# Training images over which features of a dual encoder are standardised, about.
_CALIBRATION_IMAGES = 256


ScoreModel = Callable[[TMCIR, Dataset], Score]
"""Scores a model on a dataset."""


def train(
    recipe: Recipe, score_model: ScoreModel | None = None, score_weights: ScoreWeights | None = None
) -> Path:
    """Train the recipe's stages and return the folder of the model.

    A stopped run resumes: a finished stage is loaded, a started one continues.

    Args:
        recipe: The recipe.
        score_model: Selects each stage's weights on the validation split; None keeps the last.
        score_weights: Scores the weights that stage tune chooses from; needed for it alone.

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
    model = build_model(recipe.model, dataset)
    validate = _validator(recipe, model, score_model, accelerator)
    done: list[tuple[str, TrainingState]] = []
    stages, files = _stages(recipe, dataset, _broken(recipe, dataset, accelerator))
    store = ImageStore(
        model, lambda name: files.get(name) or dataset.image_path(name), recipe.image_memory
    )
    for stage, settings in stages:
        state = _run_stage(recipe, model, stage, settings, store, accelerator, validate)
        done.append((stage.name, state))
    if recipe.stages.tune is not None and score_weights is not None:
        model.to(accelerator.device)
        val, values = recipe.dataset.open("val"), recipe.stages.tune.values
        folder = recipe.folder / TUNE
        done.append((TUNE, tune(model, lambda: score_weights(model, val, values), folder)))
    target = recipe.folder / "model"
    model.card = model_card(recipe, done)
    model.half_precision_files = recipe.model.files == "float16"
    if accelerator.is_main_process:
        model.save_pretrained(target)
    accelerator.wait_for_everyone()
    accelerator.free_memory()  # what outlives the process group may wait for it for ever
    accelerator.end_training()
    return target


def check_run(recipe: Recipe) -> None:
    """See that a run could start, before anything is loaded or written.

    Raises:
        TMCIRError: Names everything that is missing or does not fit.
    """
    problems = []
    source = recipe.model.source
    if source is not None and source.startswith((".", "/", "~")) and not Path(source).is_dir():
        problems.append(f"model.source: no such directory: {source}")
    for split in ("train", "val"):
        try:
            dataset = recipe.dataset.open(split)
            names = dataset.image_names()
            missing = [name for name in names if not dataset.has_image(name)]
        except TMCIRError as error:
            problems.append(f"dataset: {error}")
            continue
        if missing and not (recipe.dataset.skip_broken and split == "train"):
            reason = missing_images(dataset, missing, len(names))
            problems.append(f"dataset, split {split}: {reason}")
        if split == "train" and recipe.stages.align:
            try:
                make_pairing(recipe.stages.align, dataset)
            except TMCIRError as error:
                problems.append(f"stages.align: {error}")
    try:
        require_writable(recipe.folder / "recipe.json")
    except TMCIRError as error:
        problems.append(f"output: {error}")
    if problems:
        raise TMCIRError(f"recipe {recipe.name}: " + "; ".join(dict.fromkeys(problems)))


def _broken(recipe: Recipe, dataset: Dataset, accelerator: Accelerator) -> frozenset[str]:
    """Return the training images to leave out, and say which they are."""
    if not recipe.dataset.skip_broken:
        return frozenset()
    broken = unusable_images(dataset, dataset.image_names())
    if broken:
        accelerator.print(f"{len(broken)} images are missing or broken and are left out:")
        accelerator.print("  " + " ".join(broken))
    return frozenset(broken)


def build_model(settings: ModelSettings, dataset: Dataset) -> TMCIR:
    """Build the towers from nothing, or load them, and put the method on them.

    Raises:
        TMCIRError: The source cannot be loaded, or its method is to be kept and is not the one
            that the recipe trains.
    """
    method = settings.method.name
    if settings.source is not None:
        towers = load(settings.source, device="cpu")
        towers.encoder.set_images(settings.image_size, settings.fit)
        if settings.keep_method:
            if towers.method != method:
                raise TMCIRError(
                    f"model.keep_method: the method of {settings.source} is {towers.method}, but"
                    f" the stages are those of {method}"
                )
            return towers
        return TMCIR(towers.encoder, method, settings.method.settings)
    if settings.dual is not None:
        return _build_dual(settings, dataset)
    assert settings.build is not None
    build = settings.build.model_dump()
    tokenizer = train_tokenizer(
        _texts(dataset), build.pop("vocabulary_size"), build.pop("text_length")
    )
    preprocessor = ImagePreprocessor(size=build["image_size"], fit=build.pop("fit"))
    encoder = ClipEncoder(build_clip(tokenizer, **build), tokenizer, preprocessor)
    return TMCIR(encoder, method, settings.method.settings)


def _build_dual(settings: ModelSettings, dataset: Dataset) -> TMCIR:
    """Put new heads on pretrained parts; their features are standardised over training images."""
    assert settings.dual is not None
    encoder = DualEncoder.from_parts(settings.dual, _texts(dataset))
    model = TMCIR(encoder, settings.method.name, settings.method.settings).eval()
    names = [name for name in dataset.image_names() if dataset.has_image(name)]
    chosen = names[:: max(1, len(names) // _CALIBRATION_IMAGES)]
    encoder.calibrate(model.preprocess([dataset.image_path(name) for name in chosen]))
    return model


def _texts(dataset: Dataset) -> list[str]:
    captions = chain.from_iterable(texts for _, texts in dataset.captions())
    modifications = chain.from_iterable(
        triplet.training_texts or (triplet.text,) for triplet in dataset.triplets
    )
    return [*captions, *modifications]


def _stages(
    recipe: Recipe, dataset: Dataset, skip: frozenset[str]
) -> tuple[list[tuple[Stage, StageSettings]], Mapping[str, Path]]:
    """Return the stages, and where images lie that are not of the dataset."""
    stages: list[tuple[Stage, StageSettings]] = []
    files: Mapping[str, Path] = {}
    listed, seed = recipe.stages, recipe.seed
    if listed.align is not None:
        pairing = make_pairing(listed.align, dataset, skip)
        files = pairing.files
        stages.append((align(pairing, seed, listed.align.symmetric), listed.align))
    if listed.invert is not None:
        stages.append((invert(dataset, seed, listed.invert.symmetric, skip), listed.invert))
    if listed.fuse is not None:
        stage = fuse(
            dataset,
            seed,
            listed.fuse.symmetric,
            listed.fuse.reference_as_negative,
            skip,
            listed.fuse.subset_negatives,
            listed.fuse.caption_weight,
        )
        stages.append((stage, listed.fuse))
    return stages, files


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
    adapted = _add_adapters(model, settings.lora)
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
        model.card = model_card(recipe, [(stage.name, state)])
        # Before the model, whose config.json says that the stage is finished.
        write_text(finished / STATE, json.dumps(asdict(state), indent=2) + "\n")
        model.save_pretrained(finished)
    accelerator.wait_for_everyone()
    return state


def count_trained(recipe: Recipe, model: TMCIR) -> int:
    """Return how many of a model's weights the recipe's stages train, each counted once.

    The model is changed: do not use it any more.
    """
    stages = [
        (name, settings)
        for name in type(recipe.stages).model_fields
        if isinstance(settings := getattr(recipe.stages, name), StageSettings)
    ]
    trained: set[int] = set()
    count = 0
    for name, settings in stages:
        model.composer.requires_grad_(name != "align")
        _add_adapters(model, settings.lora)
        for group in parameter_groups(model, settings):
            for parameter in group["params"]:
                if id(parameter) not in trained:
                    trained.add(id(parameter))
                    count += parameter.numel()
    return count


def _add_adapters(model: TMCIR, lora: LoraSettings | None) -> PeftModel | None:
    """Put low-rank adapters into the towers, in place; everything else there is frozen."""
    if lora is None:
        return None
    targets = model.encoder.lora_targets
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=targets if isinstance(targets, str) else list(targets),
    )
    return get_peft_model(model.encoder.towers, config)


def _validator(
    recipe: Recipe, model: TMCIR, score_model: ScoreModel | None, accelerator: Accelerator
) -> Callable[[], Score] | None:
    """Return what scores the model on the validation split, in the precision of the training."""
    if score_model is None:
        return None
    dataset = recipe.dataset.open("val")

    def validate() -> Score:
        with accelerator.autocast():
            return score_model(model, dataset)

    return validate
