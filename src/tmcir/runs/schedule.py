"""How the learning rate changes over a run."""

from __future__ import annotations

import math


def learning_rate_multiplier(step: int, total: int, warmup: float) -> float:
    """Return what to multiply the peak learning rate by, in [0, 1].

    It rises linearly over the warm-up and then falls to 0 as a cosine does.

    Args:
        step: The step, counted from 0.
        total: Number of steps.
        warmup: Share of the steps that warm up, in [0, 1].
    """
    rising = warmup * total
    if step < rising:
        return (step + 1) / (rising + 1)
    done = (step - rising) / max(1.0, total - rising)
    return 0.5 * (1 + math.cos(math.pi * done))
