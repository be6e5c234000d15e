"""The one training loop: any stage, any number of processes, resumable at every checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from tmcir.errors import TMCIRError
from tmcir.models.tmcir import TMCIR
from tmcir.training.batches import Batch, ImageStore, make_batch
from tmcir.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from tmcir.training.gradients import Embedder, backward
from tmcir.training.monitor import Monitor
from tmcir.training.recipe import StageSettings
from tmcir.training.stages import Stage

CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"


@dataclass(frozen=True, slots=True)
class Validation:
    """How weights are selected: the name and the value of a score, higher is better."""

    score: Callable[[TMCIR], tuple[str, float]]


def train_stage(
    model: TMCIR,
    stage: Stage,
    settings: StageSettings,
    store: ImageStore,
    folder: Path,
    accelerator: Accelerator,
    seed: int = 0,
    checkpoint_minutes: float = 5.0,
    validation: Validation | None = None,
) -> Progress:
    """Train a stage, or go on where its last checkpoint stands; ``model`` ends with the best weights.

    Args:
        model: The model, changed in place.
        stage: What a sample, an embedding and the loss are.
        settings: How long, how fast.
        store: Reads the images.
        folder: Gets checkpoint, best weights, metrics and TensorBoard's events.
        accelerator: Processes, devices and precision.
        seed: Fixes order, texts and crops.
        checkpoint_minutes: Minutes between checkpoints.
        validation: Selects the weights; None keeps the last.

    Raises:
        TMCIRError: Too few samples for a batch, a loss that is not finite, or a checkpoint that
            does not fit.
        ImageError: An image is missing or broken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    steps_per_epoch = len(stage.samples(0)) // settings.batch_size
    if steps_per_epoch == 0:
        raise TMCIRError(
            f"{stage.name}: {len(stage.samples(0))} samples do not fill a batch of"
            f" {settings.batch_size}: lower stages.{stage.name}.batch_size"
        )
    total = steps_per_epoch * settings.epochs
    optimiser = torch.optim.AdamW(parameter_groups(model, settings), betas=(0.9, 0.98), eps=1e-6)
    peaks = [group["lr"] for group in optimiser.param_groups]
    model.to(accelerator.device)
    checkpoint = folder / CHECKPOINT
    progress = Progress()
    if checkpoint.exists():
        progress = load_checkpoint(checkpoint, model, optimiser)
        accelerator.print(f"{stage.name}  goes on at step {progress.step}/{total}")
    embedder, prepared = accelerator.prepare(Embedder(model, stage), optimiser)
    monitor = Monitor(folder, stage.name, total, progress.step, accelerator.print)
    saved = time.monotonic()

    model.train()
    batches = _batches(stage, settings, model, store, accelerator, seed, progress.step, total)
    for step, batch in batches:
        rate = learning_rate(step, total, settings.warmup)
        for group, peak in zip(prepared.param_groups, peaks, strict=True):
            group["lr"] = peak * rate
        loss = _step(embedder, stage, batch, settings, accelerator, prepared, step)
        stage.after_step(model)
        temperature = math.exp(-model.encoder.clip.logit_scale.item())
        monitor.step(step, loss=loss, learning_rate=peaks[0] * rate, temperature=temperature)
        progress = replace(progress, step=step + 1)
        every = settings.evaluate_every * steps_per_epoch
        if validation and every and ((step + 1) % every == 0 or step + 1 == total):
            progress = _validate(model, validation, progress, folder, accelerator, monitor)
        due = time.monotonic() - saved >= 60 * checkpoint_minutes or step + 1 == total
        if due and accelerator.is_main_process:
            save_checkpoint(checkpoint, model, optimiser, progress)
            saved = time.monotonic()
    monitor.close()
    accelerator.wait_for_everyone()
    if progress.best_step is not None:
        load_checkpoint(folder / BEST, model)
    model.eval()
    return progress


def learning_rate(step: int, total: int, warmup: float) -> float:
    """Return the share of the peak rate: linear from 0 over the warm-up, then a cosine to 0."""
    rising = warmup * total
    if step < rising:
        return (step + 1) / (rising + 1)
    done = (step - rising) / max(1.0, total - rising)
    return 0.5 * (1 + math.cos(math.pi * done))


def parameter_groups(model: TMCIR, settings: StageSettings) -> list[dict[str, object]]:
    """Split what is trained by tower and fusion, and by matrices (decayed) and the rest."""
    tower_rate = settings.tower_learning_rate
    tower_rate = settings.learning_rate if tower_rate is None else tower_rate
    if settings.lora is None:
        model.encoder.requires_grad_(tower_rate > 0)
    model.encoder.clip.logit_scale.requires_grad_(True)
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            tower = name.startswith("encoder.") and not name.endswith("logit_scale")
            groups.setdefault((tower, parameter.ndim >= 2), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": tower_rate if tower else settings.learning_rate,
            "weight_decay": settings.weight_decay if matrix else 0.0,
        }
        for (tower, matrix), parameters in groups.items()
    ]


def _step(
    embedder: nn.Module,
    stage: Stage,
    batch: Batch,
    settings: StageSettings,
    accelerator: Accelerator,
    optimiser: torch.optim.Optimizer,
    step: int,
) -> float:
    micro_batch = settings.micro_batch_size or len(batch.target)
    loss = backward(embedder, stage, batch.to(accelerator.device), micro_batch, accelerator).item()
    if not math.isfinite(loss):
        raise TMCIRError(
            f"{stage.name}: the loss is {loss} at step {step}. The last checkpoint is untouched;"
            f" lower stages.{stage.name}.learning_rate or use precision=float32"
        )
    accelerator.clip_grad_norm_(embedder.parameters(), settings.max_gradient_norm)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return loss


def _validate(
    model: TMCIR,
    validation: Validation,
    progress: Progress,
    folder: Path,
    accelerator: Accelerator,
    monitor: Monitor,
) -> Progress:
    began = time.monotonic()
    model.eval()
    name, score = validation.score(model)
    model.train()
    better = progress.best_score is None or score > progress.best_score
    if better:
        progress = replace(progress, best_score=score, best_step=progress.step)
        if accelerator.is_main_process:
            nothing = torch.optim.SGD([torch.zeros(1)], lr=0.0)
            save_checkpoint(folder / BEST, model, nothing, progress)
    monitor.score(progress.step, name, score, time.monotonic() - began, better)
    return progress


def _batches(
    stage: Stage,
    settings: StageSettings,
    model: TMCIR,
    store: ImageStore,
    accelerator: Accelerator,
    seed: int,
    start: int,
    total: int,
) -> Iterator[tuple[int, Batch]]:
    """Yield (step, this process's share of the batch), the next one prepared meanwhile."""
    world, rank = accelerator.num_processes, accelerator.process_index
    share = settings.batch_size // world
    steps_per_epoch = total // settings.epochs
    samples = stage.samples(start // steps_per_epoch)

    def prepare(step: int) -> Batch:
        nonlocal samples
        epoch, place = divmod(step, steps_per_epoch)
        if place == 0:
            samples = stage.samples(epoch)
        first = place * settings.batch_size + rank * share
        name = f"{seed} {stage.name} {step} {rank}"
        chosen = samples[first : first + share]
        return make_batch(chosen, model, store, settings.smallest_crop, name)

    with ThreadPoolExecutor(max_workers=1) as pool:
        if start < total:
            coming = pool.submit(prepare, start)
        for step in range(start, total):
            batch = coming.result()
            if step + 1 < total:
                coming = pool.submit(prepare, step + 1)
            yield step, batch
