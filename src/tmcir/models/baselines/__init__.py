"""What TMCIR is compared with: a file a method, each from its paper, over the same towers."""

from tmcir.models.baselines.untrained import (
    METHODS,
    Compose,
    image_only,
    normalised_sum,
    text_only,
)

__all__ = ["METHODS", "Compose", "image_only", "normalised_sum", "text_only"]
