"""How the learning rate goes over a run."""

from __future__ import annotations

import math


def learning_rate(step: int, total: int, warmup: float) -> float:
    """Return the share of the peak rate: linear from 0 over the warm-up, then a cosine to 0."""
    rising = warmup * total
    if step < rising:
        return (step + 1) / (rising + 1)
    done = (step - rising) / max(1.0, total - rising)
    return 0.5 * (1 + math.cos(math.pi * done))
