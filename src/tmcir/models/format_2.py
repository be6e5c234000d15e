"""Model directories of format 2, whose fusion was one module; gone with the last of them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

FORMAT = "tmcir-2"

_READER = ("token_norm", "token_input", "pooled_input", "query_token", "layers", "output_norm")
_MERGER = ("text_positions", "patch_positions", "types", "alpha_scale", "alpha_offset")
_STATISTICS = {
    "similarity_mean": "mean",
    "similarity_square": "square",
    "statistics_steps": "steps",
}


def upgrade_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the same configuration as the current format has it."""
    return {
        "encoder": {"family": "clip", "clip": config["clip"]},
        "method": {"name": config["method"], **config["fusion"]},
    }


def upgrade_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the same weights by their current names; those of the current format as they are."""
    fused = "fusion.token_norm.weight" in weights
    return {_current_name(name, fused): weight for name, weight in weights.items()}


def _current_name(name: str, fused: bool) -> str:
    if not name.startswith("fusion."):
        return name
    name = name.removeprefix("fusion.")
    part = name.partition(".")[0]
    if fused and part in _READER:
        name = f"reader.{name}"
    elif fused and part in _MERGER:
        name = f"merger.{name}"
    elif fused and part in _STATISTICS:
        name = f"merger.statistics.{_STATISTICS[part]}"
    elif fused and part == "gate":
        name = name.replace("gate.0.", "gate.hidden.").replace("gate.2.", "gate.weights.")
    return f"composer.{name}"
