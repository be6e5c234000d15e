"""A benchmark of a few steps on the tiny catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.training.test_run import write_recipe

SUM = {"name": "sum", "group": "baseline", "overrides": {"model.method": "weighted-sum"}}
IMAGE = {"name": "image-only", "group": "baseline", "towers_of": "sum", "compose": "image"}
WEIGHTED = {
    "name": "weighted-sum",
    "group": "baseline",
    "towers_of": "sum",
    "overrides": {
        "model.method": "weighted-sum",
        "stages.fuse": None,
        "stages.tune": {"values": 3},
    },
}
BROKEN: dict[str, Any] = {
    "name": "broken",
    "group": "ablation",
    "overrides": {"stages.fuse.learning_rate": 1e30, "stages.fuse.warmup": 0.0},
}
TMCIR = {"name": "tmcir", "title": "TMCIR", "group": "method"}


def write_benchmark(folder: Path, catalogue: Path, *cells: dict[str, Any], **changes: Any) -> Path:
    """Write a benchmark and its base recipe into a folder; results go to ``folder/out``."""
    stage = {"epochs": 1, "batch_size": 16, "evaluate_every": 0, "learning_rate": 2.0e-3}
    stages = {"align": {**stage}, "fuse": {**stage}}
    base = write_recipe(folder / "base.yaml", catalogue, stages=stages)
    path = folder / "benchmark.yaml"
    content = {
        "command": "benchmark",
        "name": "tiny-benchmark",
        "description": "a tiny benchmark",
        "base": str(base),
        "output": str(folder / "out"),
        "cells": list(cells),
        **changes,
    }
    path.write_text(yaml.safe_dump(content))
    return path
