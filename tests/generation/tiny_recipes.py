"""Recipes for an editor of a few thousand weights and for pseudo-targets of 16 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

SIDE = 16


def editor_recipe(path: Path, catalogue: Path, towers: Path, **changes: Any) -> Path:
    """Write a recipe that trains a tiny editor in two steps; its run lies beside it."""
    denoiser = {
        "channels": [8],
        "attention": [True],
        "heads": 2,
        "norm_groups": 4,
        "steps": 2,
        "batch_size": 8,
        **changes.pop("denoiser", {}),
    }
    return _write(
        path,
        command="train-editor",
        name="tiny-editor",
        description="A tiny editor.",
        dataset={"name": "fashion-products", "root": str(catalogue)},
        text_tower=str(towers),
        image_size=SIDE,
        autoencoder={"patch_size": 2, "latent_channels": 4},
        denoiser=denoiser,
        **changes,
    )


def generate_recipe(path: Path, root: Path, editor: Path | str, **changes: Any) -> Path:
    """Write a recipe that makes pseudo-targets in two steps each; its run lies beside it."""
    return _write(
        path,
        command="generate",
        name="tiny-pseudo-targets",
        description="Tiny pseudo-targets.",
        dataset={"name": "fashion-products", "root": str(root), **changes.pop("dataset", {})},
        editor={"source": str(editor), "steps": 2, **changes.pop("editor", {})},
        **changes,
    )


def _write(path: Path, **content: Any) -> Path:
    path.write_text(yaml.safe_dump({"output": str(path.with_suffix("")), **content}))
    return path
