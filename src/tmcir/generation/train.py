"""Training an editor of our own: a conditional denoiser on latents of photos."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from diffusers import DDIMScheduler
from torch import Tensor, nn
from torch.nn import functional

from tmcir.core.errors import TMCIRError
from tmcir.data.check import unusable_images
from tmcir.data.dataset import Dataset
from tmcir.generation.architecture import (
    build_pipeline,
    load_autoencoder,
    load_denoiser,
    save_pipeline,
    text_states,
)
from tmcir.generation.autoencoder import PatchAutoencoder, encode_all
from tmcir.generation.card import editor_card
from tmcir.generation.examples import (
    EditBatch,
    Example,
    NearestTargets,
    TextStates,
    draw,
    examples,
)
from tmcir.generation.recipe import EditorRecipe
from tmcir.models.loading import load
from tmcir.models.preprocessing import ImagePreprocessor, read_pixels
from tmcir.runs.folder import check_folder, claim_folder
from tmcir.runs.loop import Job, Plan, fit

if TYPE_CHECKING:
    from diffusers import StableDiffusionInstructPix2PixPipeline

_ENCODE_BATCH = 128


def train_editor(recipe: EditorRecipe) -> Path:
    """Train an editor and return its folder, which any diffusers program can load.

    A run that was killed resumes at its last checkpoint.

    Raises:
        TMCIRError: The dataset or the text tower is not there, the folder holds another recipe's
            run, or a loss is not finite.
        ImageError: A training image is missing or broken.
    """
    set_seed(recipe.seed)
    dataset = recipe.dataset.open("train")
    autoencoder = None if recipe.start is None else _started(recipe, recipe.start)
    towers = load(recipe.text_tower, device="cpu")
    accelerator = Accelerator(mixed_precision="bf16" if recipe.precision == "bfloat16" else "no")
    check_folder(recipe)  # before anything takes time
    with accelerator.main_process_first():
        dataset.prepare()
    names = _names(recipe, dataset)
    paths = [dataset.image_path(name) for name in names]
    images = torch.from_numpy(read_pixels(paths, ImagePreprocessor(size=recipe.image_size)))
    if autoencoder is None:
        autoencoder = PatchAutoencoder.fit(images, **recipe.autoencoder.model_dump())
    latents = encode_all(autoencoder, images, _ENCODE_BATCH)
    pipeline = build_pipeline(recipe, towers, autoencoder)
    if recipe.start is not None:
        load_denoiser(pipeline, recipe.start)
    with accelerator.main_process_first():
        claim_folder(recipe)  # only now: a recipe with a mistake must not claim the folder
    # Only a choice among several targets needs embeddings.
    seen = towers.encode_images(paths if recipe.nearest_targets else [])
    choose = NearestTargets(names, seen, recipe.nearest_targets)
    _denoiser(recipe, pipeline, _Edits(dataset, names, latents, choose), accelerator)
    target = recipe.folder / "editor"
    if accelerator.is_main_process:
        save_pipeline(pipeline, target, editor_card(recipe))
    accelerator.wait_for_everyone()
    accelerator.free_memory()  # threads that outlive the process group could wait forever
    accelerator.end_training()
    return target


def denoising_loss(model: nn.Module, scheduler: DDIMScheduler, batch: EditBatch) -> Tensor:
    """Return the mean squared error of the predicted velocity (Salimans and Ho, 2202.00512)."""
    noisy = scheduler.add_noise(batch.target, batch.noise, batch.timestep)
    velocity = scheduler.get_velocity(batch.target, batch.noise, batch.timestep)
    seen = torch.cat([noisy, batch.reference], dim=1)  # [B, 2 C, S, S]
    seen = seen.contiguous(memory_format=torch.channels_last)
    predicted = model(seen, batch.timestep, batch.text, return_dict=False)[0]
    return functional.mse_loss(predicted.float(), velocity)


@dataclass(frozen=True, slots=True)
class _Edits:
    """The training images as latents, and the edits between them.

    Attributes:
        dataset: Gives the triplets.
        names: The images.
        latents: float [2, N, C, S, S], of the images and of their mirror images.
        choose: Chooses the targets.
    """

    dataset: Dataset
    names: list[str]
    latents: Tensor
    choose: NearestTargets


def _names(recipe: EditorRecipe, dataset: Dataset) -> list[str]:
    """Return the images that training triplets may name, sorted, without those to skip."""
    names: set[str] = set()
    for triplet in dataset.triplets:
        names.update((triplet.reference, *triplet.answers))
        if triplet.target is not None:
            names.add(triplet.target)
    if not names:
        raise TMCIRError(f"{dataset.name}: the training split has no triplets to learn edits from")
    if recipe.dataset.skip_broken:
        names.difference_update(unusable_images(dataset, names))
    return sorted(names)


def _started(recipe: EditorRecipe, start: str) -> PatchAutoencoder:
    """Load the autoencoder of the editor to start from."""
    loaded, side = load_autoencoder(start), recipe.autoencoder.patch_size
    if loaded.config.patch_size != side:
        raise TMCIRError(
            f"start: {start} has patches of {loaded.config.patch_size} pixels, not of {side}"
        )
    return loaded


def _denoiser(
    recipe: EditorRecipe,
    pipeline: StableDiffusionInstructPix2PixPipeline,
    edits: _Edits,
    accelerator: Accelerator,
) -> None:
    """Train the denoiser of a pipeline in place."""
    settings, device = recipe.denoiser, accelerator.device
    denoiser = pipeline.unet.to(device, memory_format=torch.channels_last)

    def backward(module: nn.Module, batch: EditBatch, step: int) -> Tensor:
        loss = denoising_loss(module, pipeline.scheduler, batch.to(device))
        accelerator.backward(loss)
        return loss.detach()

    job = Job(
        name="denoiser",
        settings="denoiser",
        model=denoiser,
        module=denoiser,
        optimiser=torch.optim.AdamW(
            denoiser.parameters(),
            lr=settings.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=settings.weight_decay,
        ),
        batch=_batches(recipe, pipeline, edits, accelerator),
        backward=backward,
    )
    plan = Plan(
        steps=settings.steps,
        warmup=settings.warmup,
        max_gradient_norm=settings.max_gradient_norm,
        average=settings.average,
        checkpoint_minutes=recipe.checkpoint_minutes,
    )
    fit(job, plan, recipe.folder / "denoiser", accelerator)


def _batches(
    recipe: EditorRecipe,
    pipeline: StableDiffusionInstructPix2PixPipeline,
    edits: _Edits,
    accelerator: Accelerator,
) -> Callable[[int], EditBatch]:
    """Return a function that makes this process's share of a step's batch."""
    settings, rank = recipe.denoiser, accelerator.process_index
    share = settings.batch_size // accelerator.num_processes
    rows = {name: row for row, name in enumerate(edits.names)}
    scaling = float(pipeline.vae.config.scaling_factor)
    texts = TextStates(lambda missing: text_states(pipeline, missing))
    dropout = (settings.text_dropout, settings.image_dropout, settings.both_dropout)
    timesteps = int(pipeline.scheduler.config.num_train_timesteps)

    @lru_cache(maxsize=2)
    def epoch_of(epoch: int) -> list[Example]:
        found = examples(edits.dataset, epoch, edits.choose, recipe.seed)
        return random.Random(f"{recipe.seed} edits {epoch}").sample(found, len(found))

    per_epoch = len(epoch_of(0)) // settings.batch_size
    if per_epoch == 0:
        raise TMCIRError(
            f"{len(epoch_of(0))} triplets do not fill a batch of {settings.batch_size}: lower"
            " denoiser.batch_size"
        )

    def batch_of(step: int) -> EditBatch:
        epoch, place = divmod(step, per_epoch)
        first = place * settings.batch_size + rank * share
        chosen = epoch_of(epoch)[first : first + share]
        seed = f"{recipe.seed} denoiser {step} {rank}"
        return draw(
            chosen, rows, edits.latents, scaling, texts, dropout, timesteps, seed, recipe.mirror
        )

    return batch_of
