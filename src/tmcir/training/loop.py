"""The one training loop: any stage, any number of processes, resumable at every checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from tmcir.core.errors import TMCIRError
from tmcir.models.tmcir import TMCIR
from tmcir.runs.checkpoint import Progress, load_checkpoint, save_checkpoint
from tmcir.runs.monitor import Monitor
from tmcir.runs.schedule import learning_rate
from tmcir.training.batches import Batch, make_batch
from tmcir.training.gradients import Embedder, backward
from tmcir.training.images import Crops, EncodedViews, Images, ImageStore
from tmcir.training.recipe import StageSettings
from tmcir.training.stages import Stage

CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"


Validation = Callable[[TMCIR], tuple[str, float]]
"""How weights are selected: gives the name and the value of a score, higher is better."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A stage under way: what is trained, how, and where it is written."""

    model: TMCIR
    stage: Stage
    settings: StageSettings
    images: Images
    folder: Path
    accelerator: Accelerator
    seed: int
    optimiser: torch.optim.Optimizer
    steps_per_epoch: int

    @property
    def total(self) -> int:
        return self.steps_per_epoch * self.settings.epochs

    def chance(self, step: int) -> str:
        """Return the seed of a step in this process."""
        return f"{self.seed} {self.stage.name} {step} {self.accelerator.process_index}"


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
    """Train a stage, or go on at its last checkpoint; ``model`` ends with the best weights.

    Args:
        model: The model, changed in place.
        stage: What a sample, an embedding and the loss are.
        settings: How long, how fast.
        store: Reads the images.
        folder: Gets checkpoint, best weights, metrics and TensorBoard's events.
        accelerator: Processes, devices and precision.
        seed: Fixes order, texts, crops and dropout.
        checkpoint_minutes: Minutes between checkpoints.
        validation: Selects the weights; None keeps the last.

    Raises:
        TMCIRError: Too few samples for a batch, a batch that the processes cannot share equally, a
            loss that is not finite, or a checkpoint that does not fit.
        ImageError: An image is missing or broken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.to(accelerator.device)
    model.fusion.requires_grad_(stage.trains_method)
    optimiser = torch.optim.AdamW(parameter_groups(model, settings), betas=(0.9, 0.98), eps=1e-6)
    steps = _steps_per_epoch(stage, settings, accelerator)
    images = _images(stage, settings, store, accelerator, seed)
    run = _Run(model, stage, settings, images, folder, accelerator, seed, optimiser, steps)
    progress = Progress()
    if (folder / CHECKPOINT).exists():
        progress = load_checkpoint(folder / CHECKPOINT, model, optimiser)
        accelerator.print(f"{stage.name}  goes on at step {progress.step}/{run.total}")
    progress = _train(run, progress, checkpoint_minutes, validation)
    accelerator.wait_for_everyone()
    if progress.best_step is not None:
        load_checkpoint(folder / BEST, model)
    model.eval()
    return progress


def _images(
    stage: Stage, settings: StageSettings, store: ImageStore, accelerator: Accelerator, seed: int
) -> Images:
    """Return what gives a step its images; what a frozen tower encodes once is encoded here."""
    device = accelerator.device
    if settings.views is None:
        return Crops(store, settings.smallest_crop, device)
    samples = stage.samples(0)
    names = {sample.target for sample in samples}
    names |= {sample.reference for sample in samples if sample.reference is not None}
    accelerator.print(
        f"{stage.name}  encodes {len(names)} images once; views of each: {settings.views}"
    )
    crop, autocast = settings.smallest_crop, accelerator.autocast
    views = EncodedViews(store, settings.views, crop, f"{seed}", device, autocast)
    views.encode(sorted(names))
    return views


def _steps_per_epoch(stage: Stage, settings: StageSettings, accelerator: Accelerator) -> int:
    samples, batch_size = len(stage.samples(0)), settings.batch_size
    key = f"stages.{stage.name}.batch_size"
    if samples < batch_size:
        raise TMCIRError(f"{samples} samples do not fill a batch of {batch_size}: lower {key}")
    if batch_size % accelerator.num_processes:
        raise TMCIRError(
            f"{accelerator.num_processes} processes cannot share a batch of {batch_size}:"
            f" change {key}"
        )
    return samples // batch_size


def _train(
    run: _Run, progress: Progress, checkpoint_minutes: float, validation: Validation | None
) -> Progress:
    """Take the steps that are left, with validations and checkpoints between them."""
    model, accelerator = run.model, run.accelerator
    embedder, optimiser = accelerator.prepare(Embedder(model, run.stage), run.optimiser)
    peaks = [group["lr"] for group in optimiser.param_groups]
    every = run.settings.evaluate_every * run.steps_per_epoch
    saved = time.monotonic()
    model.train()
    monitor = Monitor(run.folder, run.stage.name, run.total, progress.step, accelerator.print)
    with closing(monitor), closing(_batches(run, progress.step)) as batches:
        for step, batch in batches:
            rate = learning_rate(step, run.total, run.settings.warmup)
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * rate
            loss = _step(run, embedder, optimiser, batch, step)
            run.stage.after_step(model)
            temperature = model.encoder.clip.logit_scale.detach().neg().exp().item()
            monitor.step(step, loss=loss, learning_rate=peaks[0] * rate, temperature=temperature)
            progress = replace(progress, step=step + 1)
            last = progress.step == run.total
            if validation and every and (progress.step % every == 0 or last):
                progress = _validate(run, validation, progress, monitor)
            if last or time.monotonic() - saved >= 60 * checkpoint_minutes:
                if accelerator.is_main_process:
                    save_checkpoint(run.folder / CHECKPOINT, model, run.optimiser, progress)
                saved = time.monotonic()
    return progress


def parameter_groups(model: TMCIR, settings: StageSettings) -> list[dict[str, Any]]:
    """Split what is trained by towers and method, and by matrices (decayed) and the rest."""
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
    run: _Run, embedder: nn.Module, optimiser: torch.optim.Optimizer, batch: Batch, step: int
) -> float:
    batch = batch.to(run.accelerator.device)
    micro_batch = run.settings.micro_batch_size or len(batch.target)
    chance = run.chance(step)
    loss = backward(embedder, run.stage, batch, micro_batch, run.accelerator, chance).item()
    if not math.isfinite(loss):
        raise TMCIRError(
            f"{run.stage.name}: the loss is {loss} at step {step}. The last checkpoint is"
            f" untouched; lower stages.{run.stage.name}.learning_rate or use precision=float32"
        )
    run.accelerator.clip_grad_norm_(embedder.parameters(), run.settings.max_gradient_norm)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return loss


def _validate(run: _Run, validation: Validation, progress: Progress, monitor: Monitor) -> Progress:
    began = time.monotonic()
    run.model.eval()
    name, score = validation(run.model)
    run.model.train()
    better = progress.best_score is None or score > progress.best_score
    if better:
        progress = replace(progress, best_metric=name, best_score=score, best_step=progress.step)
        if run.accelerator.is_main_process:
            save_checkpoint(run.folder / BEST, run.model, None, progress)
    monitor.score(progress.step, name, score, time.monotonic() - began, better)
    return progress


def _batches(run: _Run, start: int) -> Generator[tuple[int, Batch], None, None]:
    """Yield (step, this process's share of the batch), the next one prepared meanwhile."""
    rank, whole = run.accelerator.process_index, run.settings.batch_size
    share = whole // run.accelerator.num_processes
    samples = run.stage.samples(start // run.steps_per_epoch)

    def prepare(step: int) -> Batch:
        nonlocal samples
        epoch, place = divmod(step, run.steps_per_epoch)
        if place == 0:
            samples = run.stage.samples(epoch)
        first = place * whole + rank * share
        chosen = samples[first : first + share]
        return make_batch(chosen, run.model.encoder, run.images, run.chance(step))

    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(prepare, start) if start < run.total else None
        for step in range(start, run.total):
            assert coming is not None
            batch = coming.result()
            if step + 1 < run.total:
                coming = pool.submit(prepare, step + 1)
            yield step, batch
