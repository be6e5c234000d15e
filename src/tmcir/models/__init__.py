"""Models: CLIP's towers, adaptive token fusion and its baselines, and the two together."""

from tmcir.models.loading import load
from tmcir.models.tmcir import TMCIR, Explanation

__all__ = ["TMCIR", "Explanation", "load"]
