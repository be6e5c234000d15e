"""The baselines: one file per method, each after its paper, over the same towers."""

from tmcir.models.baselines.untrained import (
    UNTRAINED_METHODS,
    Compose,
    image_only,
    normalised_sum,
    text_only,
)

__all__ = ["UNTRAINED_METHODS", "Compose", "image_only", "normalised_sum", "text_only"]
