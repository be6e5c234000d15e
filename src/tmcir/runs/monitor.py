"""Reporting a run: lines on the console, curves in TensorBoard, metrics.jsonl."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

CONSOLE_SECONDS = 10.0


class Monitor:
    """Reports a stage's steps and scores. A resumed stage continues its curves without overlap.

    Args:
        folder: Gets ``metrics.jsonl``, one line a step, and TensorBoard's events.
        name: The stage.
        total: Steps of the stage.
        start: Step at which this process begins.
        say: Prints a line.
    """

    def __init__(
        self, folder: Path, name: str, total: int, start: int, say: Callable[[str], None]
    ) -> None:
        self._name = name
        self._total = total
        self._say = say
        self._start = start
        self._began = self._spoke = time.monotonic()
        self._excluded = 0.0
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=start)
        path = folder / "metrics.jsonl"
        kept = _lines_before(path, start)
        self._file = path.open("w", encoding="utf-8")
        self._file.writelines(kept)

    def step(self, step: int, **values: float) -> None:
        """Record the values of a step, counted from 0; print a line every few seconds."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        for key, value in values.items():
            self._writer.add_scalar(f"{self._name}/{key}", value, step)
        now = time.monotonic()
        if now - self._spoke < CONSOLE_SECONDS and step + 1 != self._total:
            return
        self._spoke = now
        self._file.flush()
        rate = (step + 1 - self._start) / max(now - self._began - self._excluded, 1e-9)
        figures = "  ".join(f"{key} {value:.4g}" for key, value in values.items())
        left = _duration((self._total - step - 1) / rate)
        self._say(
            f"{self._name}  step {step + 1}/{self._total}  {figures}  "
            f"{rate:.2f} steps/s  {left} left"
        )

    def score(self, step: int, name: str, value: float, seconds: float, best: bool) -> None:
        """Record a validation score, and take its time out of the speed."""
        self._excluded += seconds
        self._writer.add_scalar(f"{self._name}/validation {name}", value, step)
        mark = "  (best so far)" if best else ""
        self._say(f"{self._name}  step {step}/{self._total}  validation {name} {value:.2f}{mark}")

    def close(self) -> None:
        """Write everything out."""
        self._file.close()
        self._writer.close()


def _lines_before(path: Path, step: int) -> list[str]:
    if not path.exists():
        return []
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            content: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            break  # the line that was being written when the run was killed
        if content["step"] < step:
            kept.append(line)
    return kept


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s"
