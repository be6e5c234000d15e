"""The one training loop: any job, any number of processes, resumable at every checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from tmcir.core.errors import TMCIRError
from tmcir.runs.average import Average
from tmcir.runs.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from tmcir.runs.monitor import Monitor
from tmcir.runs.prefetch import prefetch
from tmcir.runs.schedule import learning_rate_multiplier

CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"

Batch = TypeVar("Batch")

Score = tuple[str, float]
"""Name and value of a validation score; higher is better."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Length and settings of a training.

    Attributes:
        steps: Optimiser steps.
        warmup: Share of them that warm up.
        max_gradient_norm: Gradients are clipped to it.
        average: Decay of a running average of the weights, which is validated and kept; None: no
            average.
        validate_every: Steps between validations; there is one before the first step and one
            after the last, too.
        patience: Validations without a better score after which training stops; None: never.
        checkpoint_minutes: Minutes between checkpoints.
    """

    steps: int
    warmup: float
    max_gradient_norm: float
    average: float | None = None
    validate_every: int = 0
    patience: int | None = None
    checkpoint_minutes: float = 5.0


@dataclass(frozen=True, slots=True)
class Job(Generic[Batch]):
    """One training. A batch must be a function of the step, so that a resumed run repeats it.

    Attributes:
        name: Names the job in lines and curves.
        settings: Where its settings are in the recipe, for errors, such as ``stages.fuse``.
        model: What checkpoints hold, on its device.
        module: What ``backward`` calls, for several processes to wrap: the model, or what holds it.
        optimiser: Its groups have the peak learning rates.
        batch: Returns this process's share of a step's batch; called in a thread.
        backward: Adds the gradients of a step's loss to the module; returns the loss.
        after_step: Called after each optimiser step.
        figures: Returns further values of a step, for the curves.
    """

    name: str
    settings: str
    model: nn.Module
    module: nn.Module
    optimiser: Optimizer
    batch: Callable[[int], Batch]
    backward: Callable[[nn.Module, Batch, int], Tensor]
    after_step: Callable[[], None] = lambda: None
    figures: Callable[[], dict[str, float]] = dict


def fit(
    job: Job[Batch],
    plan: Plan,
    folder: Path,
    accelerator: Accelerator,
    validate: Callable[[], Score] | None = None,
) -> TrainingState:
    """Train a job, or resume it at its last checkpoint.

    The model ends with the weights of the best validation, in evaluation mode; without validation
    it ends with the average where there is one, else with the last weights.

    Args:
        job: What to train.
        plan: How long, and how.
        folder: Gets checkpoint, best weights, metrics and TensorBoard's events.
        accelerator: Processes, devices and precision.
        validate: Scores the model; None skips validation.

    Raises:
        TMCIRError: A loss is not finite, or a checkpoint does not fit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    average = None if plan.average is None else Average(job.model, plan.average)
    state = TrainingState()
    if (folder / CHECKPOINT).exists():
        state = load_checkpoint(folder / CHECKPOINT, job.model, job.optimiser, average)
        accelerator.print(f"{job.name}  resumes at step {state.step}/{plan.steps}")
    state = _Loop(job, plan, folder, accelerator, average, validate).run(state)
    accelerator.wait_for_everyone()
    if state.best_step is not None:
        load_checkpoint(folder / BEST, job.model)
        accelerator.print(f"{job.name}  {_kept(state)}")
    elif average is not None:
        average.apply()
    job.model.eval()
    return state


def _kept(state: TrainingState) -> str:
    """Return a line that says which weights are kept, with the scores before and at the end."""
    scores = [(state.best_step, state.best_score), (0, state.first_score)]
    named = [f"{score:.2f} after step {step}" for step, score in scores if score is not None]
    first, *others = [*named, f"{state.last_score:.2f} after step {state.step}"]
    others = [one for one in others if one != first]
    beside = f" ({', '.join(others)})" if others else ""
    return f"keeps the weights with the best {state.metric}: {first}{beside}"


@dataclass(frozen=True, slots=True)
class _Loop(Generic[Batch]):
    job: Job[Batch]
    plan: Plan
    folder: Path
    accelerator: Accelerator
    average: Average | None
    validate: Callable[[], Score] | None

    def run(self, state: TrainingState) -> TrainingState:
        """Run the remaining steps, with validations and checkpoints."""
        job, plan, say = self.job, self.plan, self.accelerator.print
        module, optimiser = self.accelerator.prepare(job.module, job.optimiser)
        peaks = [group["lr"] for group in optimiser.param_groups]
        stopped = self._has_no_patience(state)
        steps = range(state.step, state.step if stopped else plan.steps)
        saved = time.monotonic()
        batches = prefetch(job.batch, steps)
        with (
            closing(Monitor(self.folder, job.name, plan.steps, state.step, say)) as monitor,
            closing(batches),
        ):
            if state.step == 0:
                state = self._validate(state, monitor)
            job.model.train()
            for step, batch in zip(steps, batches, strict=True):
                multiplier = learning_rate_multiplier(step, plan.steps, plan.warmup)
                for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                    group["lr"] = peak * multiplier
                loss = self._step(module, optimiser, batch, step)
                rate = peaks[0] * multiplier
                monitor.step(step, loss=loss, learning_rate=rate, **job.figures())
                state = replace(state, step=step + 1)
                last = state.step == plan.steps
                if last or (plan.validate_every and state.step % plan.validate_every == 0):
                    state = self._validate(state, monitor)
                stops = self._has_no_patience(state)
                if last or stops or time.monotonic() - saved >= 60 * plan.checkpoint_minutes:
                    self._save(CHECKPOINT, state, job.optimiser, self.average)
                    saved = time.monotonic()
                if stops:
                    say(f"{job.name}  stops early: no better score for {plan.patience} validations")
                    break
        return state

    def _has_no_patience(self, state: TrainingState) -> bool:
        """Return whether the score has not risen for as long as the plan allows."""
        plan = self.plan
        if plan.patience is None or state.best_step is None or not plan.validate_every:
            return False
        return state.step - state.best_step >= plan.patience * plan.validate_every

    def _step(self, module: nn.Module, optimiser: Optimizer, batch: Batch, step: int) -> float:
        job = self.job
        loss = job.backward(module, batch, step).item()
        if not math.isfinite(loss):
            raise TMCIRError(
                f"{job.name}: the loss is {loss} at step {step}. The last checkpoint is"
                f" untouched; lower {job.settings}.learning_rate or use precision=float32"
            )
        self.accelerator.clip_grad_norm_(module.parameters(), self.plan.max_gradient_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update()
        job.after_step()
        return loss

    def _validate(self, state: TrainingState, monitor: Monitor) -> TrainingState:
        """Validate, and save the weights if they are the best so far."""
        if self.validate is None:
            return state
        began = time.monotonic()
        averaged = self.average is not None and state.step > 0
        self.job.model.eval()
        with self.average.applied() if self.average and averaged else nullcontext():
            name, score = self.validate()
            first = score if state.step == 0 else state.first_score
            state = replace(state, metric=name, first_score=first, last_score=score)
            better = state.best_score is None or score > state.best_score
            if better:
                state = replace(state, best_score=score, best_step=state.step)
                self._save(BEST, state)
        self.job.model.train()
        monitor.score(state.step, name, score, time.monotonic() - began, better)
        return state

    def _save(
        self,
        name: str,
        state: TrainingState,
        optimiser: Optimizer | None = None,
        average: Average | None = None,
    ) -> None:
        if self.accelerator.is_main_process:
            save_checkpoint(self.folder / name, self.job.model, state, optimiser, average)
