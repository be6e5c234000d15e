"""Training checkpoints: one safetensors file, written atomically, enough to resume exactly."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tmcir.core.errors import TMCIRError, first_line
from tmcir.core.files import remove_abandoned, staged_directory
from tmcir.runs.average import Average

_MODEL, _OPTIMISER, _AVERAGE = "model.", "optimiser.", "average."


@dataclass(frozen=True, slots=True)
class TrainingState:
    """How far a training has come.

    Attributes:
        step: Optimiser steps done.
        metric: Name of the validation score; None before the first.
        first_score: The validation score before the first step.
        last_score: The validation score at the last validation.
        best_score: Best validation score so far; None before the first.
        best_step: Steps done at that score; 0 is before the training.
    """

    step: int = 0
    metric: str | None = None
    first_score: float | None = None
    last_score: float | None = None
    best_score: float | None = None
    best_step: int | None = None


def save_checkpoint(
    path: Path,
    model: nn.Module,
    state: TrainingState,
    optimiser: torch.optim.Optimizer | None = None,
    average: Average | None = None,
) -> None:
    """Write a checkpoint; a kill leaves the old file or the new one.

    With optimiser and average the file is enough to resume: learning rate, batches and crops are
    functions of the step. Without them it holds weights to keep.

    Args:
        path: The file.
        model: Its weights and buffers are written.
        state: How far the training has come.
        optimiser: Its state is written.
        average: Its weights are written.
    """
    tensors = {_MODEL + key: value for key, value in model.state_dict().items()}
    states = {} if optimiser is None else optimiser.state_dict()["state"]
    for number, entries in states.items():
        for key, value in entries.items():
            tensors[f"{_OPTIMISER}{number}.{key}"] = torch.as_tensor(value)
    if average is not None:
        tensors |= {_AVERAGE + key: value for key, value in average.state_dict().items()}
    write_tensors(path, tensors, {"state": json.dumps(asdict(state))})


def load_checkpoint(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer | None = None,
    average: Average | None = None,
) -> TrainingState:
    """Restore what ``save_checkpoint`` wrote.

    Args:
        path: The file.
        model: Gets the weights.
        optimiser: Gets its state; None skips that.
        average: Gets its weights; None skips those. It is updated once a step.

    Raises:
        TMCIRError: The file is broken or belongs to another model.
    """
    remove_abandoned(path.parent)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            state = TrainingState(**json.loads(file.metadata()["state"]))
        model.load_state_dict(_below(_MODEL, tensors))
        if optimiser is not None:
            content = optimiser.state_dict()
            content["state"] = _optimiser_state(_below(_OPTIMISER, tensors))
            optimiser.load_state_dict(content)
        if average is not None:
            average.load_state_dict(_below(_AVERAGE, tensors), updates=state.step)
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError, TypeError) as error:
        reason = first_line(error)
        raise TMCIRError(
            f"{path}: cannot resume from this checkpoint ({reason}); remove the run's folder to"
            " start again"
        ) from None
    return state


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file; a kill leaves the old file or the new one.

    It is staged in a folder of its own, because the library has temporary files of the size of a
    checkpoint, too: the next write removes what a kill left of them.
    """
    with staged_directory(path.parent) as staging:
        save_file(
            {key: value.detach().cpu().contiguous() for key, value in tensors.items()},
            staging / path.name,
            metadata=metadata,
        )


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }


def _optimiser_state(tensors: dict[str, Tensor]) -> dict[int, dict[str, Any]]:
    state: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    return state
