"""The loop in which the parts of our own editor are trained: steps, an average, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from tmcir.core.errors import TMCIRError
from tmcir.runs.checkpoint import Progress, load_checkpoint, save_checkpoint
from tmcir.runs.monitor import Monitor
from tmcir.runs.schedule import learning_rate

CHECKPOINT = "checkpoint.safetensors"
WARMUP = 0.03
LARGEST_GRADIENT = 1.0


def optimise(
    name: str,
    model: nn.Module,
    loss: Callable[[nn.Module, int], Tensor],
    folder: Path,
    *,
    steps: int,
    rate: float,
    weight_decay: float,
    average: float,
    checkpoint_minutes: float,
    accelerator: Accelerator,
) -> None:
    """Train ``model`` in place; it ends with the running average of its weights.

    A run that was killed goes on at its last checkpoint, and ends as if it had never been.

    Args:
        name: What is trained, for lines and errors.
        model: The module, on its device.
        loss: A function of the model and the step alone, or no resumed run could repeat another.
        folder: Gets the checkpoint and the curves.
        steps: Optimiser steps.
        rate: Peak learning rate of AdamW.
        weight_decay: AdamW's.
        average: Decay of the average; less in the first steps, which are to be forgotten.
        checkpoint_minutes: Minutes between checkpoints.
        accelerator: Device, precision and processes.

    Raises:
        TMCIRError: The loss is not finite, or the checkpoint does not fit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    averaged = AveragedModel(model, multi_avg_fn=_forgetting(average))
    both = nn.ModuleDict({"model": model, "average": averaged})
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=weight_decay
    )
    progress = Progress()
    if (folder / CHECKPOINT).exists():
        progress = load_checkpoint(folder / CHECKPOINT, both, optimiser)
        accelerator.print(f"{name}  goes on at step {progress.step}/{steps}")
    trained, prepared = accelerator.prepare(model, optimiser)
    saved = time.monotonic()
    model.train()
    with closing(Monitor(folder, name, steps, progress.step, accelerator.print)) as monitor:
        for step in range(progress.step, steps):
            share = learning_rate(step, steps, WARMUP)
            for group in prepared.param_groups:
                group["lr"] = rate * share
            value = loss(trained, step)
            accelerator.backward(value)
            if not math.isfinite(value.item()):
                raise TMCIRError(
                    f"{name}: the loss is {value.item()} at step {step}. The last checkpoint is"
                    f" untouched; lower {name}.learning_rate or use precision=float32"
                )
            accelerator.clip_grad_norm_(trained.parameters(), LARGEST_GRADIENT)
            prepared.step()
            prepared.zero_grad(set_to_none=True)
            averaged.update_parameters(model)
            monitor.step(step, loss=value.item(), learning_rate=rate * share)
            late = time.monotonic() - saved >= 60 * checkpoint_minutes
            if accelerator.is_main_process and (late or step + 1 == steps):
                progress = Progress(step=step + 1)
                save_checkpoint(folder / CHECKPOINT, both, optimiser, progress)
                saved = time.monotonic()
    accelerator.wait_for_everyone()
    model.load_state_dict(averaged.module.state_dict())
    model.eval()


def _forgetting(decay: float) -> Callable[..., None]:
    """Return an exponential average whose decay grows to ``decay`` with the steps."""

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        done = int(count)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + done) / (10 + done)))

    return update
