"""Fitting a model to a stage: the stage as a job of the one training loop."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import PreTrainedModel

from tmcir.core.errors import TMCIRError
from tmcir.models.tmcir import TMCIR
from tmcir.runs.checkpoint import TrainingState
from tmcir.runs.loop import Job, Plan, Score, fit
from tmcir.training.batches import Batch, Sample, make_batch
from tmcir.training.gradients import StageModule, backward
from tmcir.training.images import Augmentation, Crops, EncodedViews, Images, ImageStore
from tmcir.training.recipe import StageSettings
from tmcir.training.stages import Stage
from tmcir.training.texts import EncodedTexts, Texts, TokenisedTexts


def train_stage(
    model: TMCIR,
    stage: Stage,
    settings: StageSettings,
    store: ImageStore,
    folder: Path,
    accelerator: Accelerator,
    seed: int = 0,
    checkpoint_minutes: float = 5.0,
    validate: Callable[[], Score] | None = None,
) -> TrainingState:
    """Train a stage, or resume it at its last checkpoint; ``model`` ends with the best weights.

    Args:
        model: The model, changed in place.
        stage: Defines samples, embeddings and the loss.
        settings: Of the stage.
        store: Reads the images.
        folder: Gets checkpoint, best weights, metrics and TensorBoard's events.
        accelerator: Processes, devices and precision.
        seed: Fixes order, texts, crops and dropout.
        checkpoint_minutes: Minutes between checkpoints.
        validate: Scores the model, to select the weights; None keeps the last.

    Raises:
        TMCIRError: Too few samples for a batch, an infinite loss, or an unfitting checkpoint.
        ImageError: An image is missing or broken.
    """
    model.to(accelerator.device)
    model.composer.requires_grad_(stage.trains_method)
    optimiser = torch.optim.AdamW(parameter_groups(model, settings), betas=(0.9, 0.98), eps=1e-6)
    steps_per_epoch = _steps_per_epoch(stage, settings)
    reads_tokens = stage.trains_method and model.composer.reads_tokens
    images = _images(stage, settings, store, accelerator, seed, reads_tokens)
    texts = _texts(model, settings, store, accelerator, reads_tokens)
    max_images = settings.micro_batch_images or sys.maxsize
    checkpoint_gradients(model, settings.gradient_checkpointing)

    def seed_of(step: int) -> str:
        return f"{seed} {stage.name} {step} {accelerator.process_index}"

    def gradients(module: nn.Module, batch: Batch, step: int) -> Tensor:
        batch = batch.to(accelerator.device)
        return backward(module, stage, batch, max_images, accelerator, seed_of(step))

    share = _batches(model, stage, settings, images, texts, accelerator, steps_per_epoch, seed_of)
    job = Job(
        name=stage.name,
        settings=f"stages.{stage.name}",
        model=model,
        module=StageModule(model, stage),
        optimiser=optimiser,
        batch=share,
        backward=gradients,
        after_step=lambda: stage.after_step(model),
        figures=lambda: {"temperature": model.encoder.logit_scale.detach().neg().exp().item()},
    )
    plan = _plan(settings, steps_per_epoch, checkpoint_minutes)
    state = fit(job, plan, folder, accelerator, validate)
    checkpoint_gradients(model, False)  # the next stage has its own setting
    return state


def _plan(settings: StageSettings, steps_per_epoch: int, checkpoint_minutes: float) -> Plan:
    return Plan(
        steps=steps_per_epoch * settings.epochs,
        warmup=settings.warmup,
        max_gradient_norm=settings.max_gradient_norm,
        average=settings.average,
        validate_every=steps_per_epoch * settings.evaluate_every,
        patience=settings.patience,
        checkpoint_minutes=checkpoint_minutes,
    )


def checkpoint_gradients(model: TMCIR, enabled: bool) -> None:
    """Switch gradient checkpointing of the towers: keep layer inputs, recompute the rest.

    Args:
        model: Its towers are changed in place.
        enabled: False switches it off.
    """
    for module in model.encoder.modules():
        if not (isinstance(module, PreTrainedModel) and module.supports_gradient_checkpointing):
            continue
        # Older versions of transformers 5 know it by the second name only.
        new = hasattr(module, "activation_checkpointing_enable")
        name = "activation_checkpointing" if new else "gradient_checkpointing"
        if enabled:
            getattr(module, f"{name}_enable")({"use_reentrant": False})
        elif getattr(module, f"is_{name}"):
            getattr(module, f"{name}_disable")()


def _images(
    stage: Stage,
    settings: StageSettings,
    store: ImageStore,
    accelerator: Accelerator,
    seed: int,
    reads_tokens: bool,
) -> Images:
    """Return the source of images for a step; views of frozen towers are encoded first."""
    device = accelerator.device
    augmentation = Augmentation(settings.min_crop, settings.mirror)
    if settings.views is None:
        return Crops(store, augmentation, device)
    samples = stage.samples(0)
    names = {sample.target for sample in samples}
    names |= {sample.reference for sample in samples if sample.reference is not None}
    if stage.negatives:
        names |= {name for sample in samples for name in sample.negatives}
    accelerator.print(
        f"{stage.name}  encodes {len(names)} images once; views of each: {settings.views}"
    )
    views = EncodedViews(
        store, settings.views, augmentation, f"{seed}", device, accelerator.autocast, reads_tokens
    )
    views.encode(sorted(names))
    return views


def _texts(
    model: TMCIR,
    settings: StageSettings,
    store: ImageStore,
    accelerator: Accelerator,
    reads_tokens: bool,
) -> Texts:
    """Return what gives a step its texts: a frozen tower encodes each text once."""
    if settings.tower_learning_rate != 0 or settings.lora is not None:
        return TokenisedTexts(model.encoder)
    device = accelerator.device
    return EncodedTexts(model.encoder, store.limit, reads_tokens, device, accelerator.autocast)


def _steps_per_epoch(stage: Stage, settings: StageSettings) -> int:
    samples, batch_size = len(stage.samples(0)), settings.batch_size
    if samples < batch_size:  # after skipping broken images
        raise TMCIRError(
            f"stages.{stage.name}.batch_size: {samples} samples do not fill a batch of {batch_size}"
        )
    return samples // batch_size


def _batches(
    model: TMCIR,
    stage: Stage,
    settings: StageSettings,
    images: Images,
    texts: Texts,
    accelerator: Accelerator,
    steps_per_epoch: int,
    seed_of: Callable[[int], str],
) -> Callable[[int], Batch]:
    """Return a function from a step to this process's share of its batch."""
    share = settings.batch_size // accelerator.num_processes
    offset = accelerator.process_index * share

    @lru_cache(maxsize=1)
    def samples_of(epoch: int) -> Sequence[Sample]:
        return stage.samples(epoch)

    def batch_of(step: int) -> Batch:
        epoch, place = divmod(step, steps_per_epoch)
        first = place * settings.batch_size + offset
        chosen = samples_of(epoch)[first : first + share]
        return make_batch(chosen, model.encoder, images, seed_of(step), stage.negatives, texts)

    return batch_of


def parameter_groups(model: TMCIR, settings: StageSettings) -> list[dict[str, Any]]:
    """Group trained parameters by learning rate and weight decay (matrices only).

    Towers have their own learning rate; heads trained from scratch have their own or that of the
    method.
    """
    encoder, rate = model.encoder, settings.learning_rate
    tower_rate = rate if settings.tower_learning_rate is None else settings.tower_learning_rate
    head_rate = rate if settings.head_learning_rate is None else settings.head_learning_rate
    if settings.lora is None:
        encoder.requires_grad_(tower_rate > 0)
        encoder.freeze(
            settings.frozen_stages, settings.frozen_depthwise, settings.frozen_text_layers
        )
    for name in encoder.head_names:
        encoder.get_submodule(name).requires_grad_(head_rate > 0)
    encoder.freeze_tokens(settings.frozen_tokens)
    if not (model.composer.reads_tokens and any(_trained(model.composer))):
        # Several processes would wait for gradients that never come.
        for name in encoder.token_names:
            encoder.get_submodule(name).requires_grad_(False)
    encoder.logit_scale.requires_grad_(True)
    heads = {id(one) for name in encoder.head_names for one in _parameters(encoder, name)}
    towers = {id(one) for one in encoder.parameters()} - heads - {id(encoder.logit_scale)}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            own = tower_rate if id(parameter) in towers else rate
            own = head_rate if id(parameter) in heads else own
            groups.setdefault((own, parameter.ndim >= 2), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": own,
            "weight_decay": settings.weight_decay if matrix else 0.0,
        }
        for (own, matrix), parameters in groups.items()
    ]


def _trained(module: nn.Module) -> list[bool]:
    return [parameter.requires_grad for parameter in module.parameters()]


def _parameters(module: nn.Module, name: str) -> list[nn.Parameter]:
    return list(module.get_submodule(name).parameters())
