"""Adaptive token fusion: merge similar tokens, read the rest, and gate both embeddings."""

from tmcir.models.fusion.composer import AdaptiveTokenFusion
from tmcir.models.fusion.gate import GatedSum
from tmcir.models.fusion.settings import FusionSettings, GateKind

__all__ = ["AdaptiveTokenFusion", "FusionSettings", "GateKind", "GatedSum"]
