"""Search without torch: exported graphs of a model, run by ONNX Runtime."""

from tmcir.runtime.loading import Runtime, load
from tmcir.runtime.model import OnnxModel

__all__ = ["OnnxModel", "Runtime", "load"]
