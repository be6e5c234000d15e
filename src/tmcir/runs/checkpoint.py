"""Training checkpoints: one safetensors file, written atomically, enough to go on exactly."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tmcir.core.errors import TMCIRError, first_line

_MODEL, _OPTIMISER = "model.", "optimiser."


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage has come.

    Attributes:
        step: Optimiser steps done.
        best_metric: Name of the validation score; None before the first.
        best_score: Best validation score so far; None before the first.
        best_step: Step of that score.
    """

    step: int = 0
    best_metric: str | None = None
    best_score: float | None = None
    best_step: int | None = None


def save_checkpoint(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer | None, progress: Progress
) -> None:
    """Write weights, optimiser state and progress; a kill leaves the old file or the new one.

    None for ``optimiser`` leaves its state out: such a file holds weights to keep, not to go on.

    Nothing else is needed to go on: learning rate, batches and crops are functions of the step.
    """
    tensors = {_MODEL + key: value for key, value in model.state_dict().items()}
    states = {} if optimiser is None else optimiser.state_dict()["state"]
    for number, state in states.items():
        for key, value in state.items():
            tensors[f"{_OPTIMISER}{number}.{key}"] = torch.as_tensor(value)
    write_tensors(path, tensors, {"progress": json.dumps(asdict(progress))})


def load_checkpoint(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer | None = None
) -> Progress:
    """Restore what ``save_checkpoint`` wrote.

    Args:
        path: The file.
        model: Gets the weights.
        optimiser: Gets its state; None leaves that out.

    Raises:
        TMCIRError: The file is broken or belongs to another model.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            progress = Progress(**json.loads(file.metadata()["progress"]))
        model.load_state_dict(_below(_MODEL, tensors))
        if optimiser is not None:
            content = optimiser.state_dict()
            content["state"] = _optimiser_state(_below(_OPTIMISER, tensors))
            optimiser.load_state_dict(content)
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
        reason = first_line(error)
        raise TMCIRError(
            f"{path}: cannot go on from this checkpoint ({reason}); remove the run's folder to"
            " start anew"
        ) from None
    return progress


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file by renaming a finished temporary file onto its place.

    It is written in a folder of its own: the library has temporary files, too, of the size of a
    checkpoint, and what a kill leaves of them is removed at the next write.
    """
    staging = path.with_name(f".{path.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    save_file(
        {key: value.detach().cpu().contiguous() for key, value in tensors.items()},
        staging / path.name,
        metadata=metadata,
    )
    (staging / path.name).replace(path)
    shutil.rmtree(staging, ignore_errors=True)


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
