"""The one loop: it learns, it resumes exactly, it keeps what validates best."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor, nn

from tmcir.core.errors import TMCIRError
from tmcir.runs.average import Average
from tmcir.runs.checkpoint import TrainingState, load_checkpoint
from tmcir.runs.loop import BEST, CHECKPOINT, Job, Plan, Score, fit
from tmcir.runs.schedule import learning_rate_multiplier

STEPS, RATE, AVERAGE, WARMUP = 20, 0.05, 0.8, 0.1
PLAN = Plan(STEPS, WARMUP, max_gradient_norm=1.0, average=AVERAGE, checkpoint_minutes=1e-9)


class StoppedError(Exception):
    pass


def batch_of(step: int) -> Tensor:
    return torch.randn(16, 3, generator=torch.Generator().manual_seed(step))


def run_loop(
    folder: Path,
    stop: int | None = None,
    seen: list[Tensor] | None = None,
    scores: Callable[[int], float] | None = None,
    factor: Callable[[int], float] = lambda step: 1.0,
    **plan: Any,
) -> tuple[nn.Linear, TrainingState]:
    """Fit a line; stop before a step where that is asked for, and keep the weights before each."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    done: list[int] = []

    def backward(module: nn.Module, inputs: Tensor, step: int) -> Tensor:
        if step == stop:
            raise StoppedError
        if seen is not None:
            seen.append(model.weight.detach().clone())
        loss = (module(inputs)[:, 0] - inputs.sum(dim=1)).square().mean() * factor(step)
        loss.backward()
        done.append(step)
        detached: torch.Tensor = loss.detach()
        return detached

    def validate() -> Score:
        assert not model.training and scores is not None
        return "R@10", scores(done[-1] + 1 if done else 0)

    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE)
    job = Job("line", "stages.line", model, model, optimiser, batch_of, backward)
    chosen = replace(PLAN, **plan)
    state = fit(job, chosen, folder, Accelerator(), validate if scores else None)
    return model, state


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    return all(map(torch.equal, first.parameters(), second.parameters()))


def lines_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("average", [AVERAGE, None])
@pytest.mark.parametrize("stop", [1, 10, 19])
def test_a_stopped_loop_resumes_as_if_nothing_had_happened(
    stop: int, average: float | None, tmp_path: Path
) -> None:
    whole, _ = run_loop(tmp_path / "whole", average=average)
    for _ in range(2):  # the second time, no step is done at all
        with pytest.raises(StoppedError):
            run_loop(tmp_path / "stopped", stop, average=average)
    assert same_weights(whole, run_loop(tmp_path / "stopped", average=average)[0])
    lines = [lines_of(tmp_path / name) for name in ("whole", "stopped")]
    assert lines[0] == lines[1] and [line["step"] for line in lines[0]] == list(range(STEPS))
    assert lines[0][-1]["loss"] < 0.5 * lines[0][0]["loss"]


def test_a_loop_between_checkpoints_goes_back_to_the_last(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run_loop(tmp_path, 15, checkpoint_minutes=1e9)
    assert not (tmp_path / CHECKPOINT).exists()
    seen: list[Tensor] = []
    run_loop(tmp_path, seen=seen, checkpoint_minutes=1e9)
    assert len(seen) == STEPS
    assert load_checkpoint(tmp_path / CHECKPOINT, nn.Linear(3, 1)).step == STEPS


def test_a_finished_loop_does_nothing(tmp_path: Path) -> None:
    first, state = run_loop(tmp_path, scores=float)
    seen: list[Tensor] = []
    second, again = run_loop(tmp_path, seen=seen, scores=float)
    assert same_weights(first, second) and seen == [] and state == again


@pytest.mark.parametrize("decay", [0.0, 0.3, AVERAGE, 0.999])
def test_the_model_ends_with_a_running_average(decay: float, tmp_path: Path) -> None:
    seen: list[Tensor] = []
    model, _ = run_loop(tmp_path, seen=seen, average=decay)
    last = load_file(tmp_path / CHECKPOINT)["model.weight"]
    weights = [*seen[1:], last]  # after each step
    average = weights[0]
    for step, weight in enumerate(weights[1:], start=1):
        kept = min(decay, (1 + step) / (10 + step))
        average = kept * average + (1 - kept) * weight
    torch.testing.assert_close(model.weight.detach(), average)
    assert not model.training
    if decay == 0:
        torch.testing.assert_close(model.weight.detach(), last)


def test_without_average_the_model_ends_with_the_last_weights(tmp_path: Path) -> None:
    model, state = run_loop(tmp_path, average=None)
    checkpoint = load_file(tmp_path / CHECKPOINT)
    assert model.weight.equal(checkpoint["model.weight"])
    assert not any(key.startswith("average.") for key in checkpoint)
    assert state == TrainingState(step=STEPS)


def test_an_average_leaves_what_is_frozen_alone() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[0].bias.requires_grad_(False)
    average = Average(model, 0.5)
    assert set(average.state_dict()) == {"0.weight", "1.weight", "1.bias"}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for parameter in model.parameters():
        parameter.data += 1
    with average.applied():
        assert model[0].weight.equal(before["0.weight"])
        assert model[0].bias.equal(before["0.bias"] + 1)
    assert model[0].weight.equal(before["0.weight"] + 1)
    with pytest.raises(ValueError, match="another model"):
        average.load_state_dict({}, updates=1)


def test_the_learning_rate_follows_the_schedule(tmp_path: Path) -> None:
    run_loop(tmp_path)
    rates = [line["learning_rate"] for line in lines_of(tmp_path)]
    assert rates == [RATE * learning_rate_multiplier(step, STEPS, WARMUP) for step in range(STEPS)]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_loop(bad: float, tmp_path: Path) -> None:
    with pytest.raises(TMCIRError, match=rf"line: the loss is {bad} at step 4\.") as caught:
        run_loop(tmp_path, factor=lambda step: bad if step == 4 else 1.0)
    message = str(caught.value)
    assert "lower stages.line.learning_rate" in message and "\n" not in message
    assert load_checkpoint(tmp_path / CHECKPOINT, nn.Linear(3, 1)).step == 4
    assert all(value.isfinite().all() for value in load_file(tmp_path / CHECKPOINT).values())


def test_another_models_checkpoint_is_an_error(tmp_path: Path) -> None:
    run_loop(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"broken")
    with pytest.raises(TMCIRError, match="cannot resume from this checkpoint"):
        run_loop(tmp_path)


# Validation


@pytest.mark.parametrize("best", [0, 6, 12, 20])
def test_the_best_validation_is_kept_the_start_and_the_end_included(
    best: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    validated: list[int] = []

    def scores(step: int) -> float:
        validated.append(step)
        return 50.0 - abs(step - best)

    seen: list[Tensor] = []
    model, state = run_loop(tmp_path, seen=seen, scores=scores, validate_every=6, average=None)
    assert validated == [0, 6, 12, 18, 20]
    assert state == TrainingState(
        step=STEPS,
        metric="R@10",
        first_score=50.0 - best,
        last_score=50.0 - abs(20 - best),
        best_score=50.0,
        best_step=best,
    )
    line = capsys.readouterr().out.splitlines()[-1]
    assert f"best R@10: 50.00 after step {best}" in line
    assert ("after step 0," in line or "after step 0)" in line) == (best > 0)
    assert f"{50.0 - abs(20 - best):.2f} after step 20" in line
    last = load_file(tmp_path / CHECKPOINT)["model.weight"]
    assert model.weight.equal([*seen, last][best])


def test_what_is_validated_and_kept_is_the_average(tmp_path: Path) -> None:
    averaged, _ = run_loop(tmp_path / "alone")
    model, state = run_loop(tmp_path / "validated", scores=float)
    assert state.best_step == STEPS
    assert same_weights(model, averaged)
    last = load_file(tmp_path / "validated" / CHECKPOINT)["model.weight"]
    assert not model.weight.equal(last)
    assert load_file(tmp_path / "validated" / BEST)["model.weight"].equal(model.weight)


def test_validation_changes_no_step(tmp_path: Path) -> None:
    run_loop(tmp_path / "without")
    run_loop(tmp_path / "with", scores=lambda step: -float(step), validate_every=1)
    assert lines_of(tmp_path / "without") == lines_of(tmp_path / "with")
