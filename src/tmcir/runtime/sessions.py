"""ONNX Runtime sessions over the graphs of a model directory, whose weights lie in one file."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tmcir.core.errors import TMCIRError, first_line
from tmcir.runtime.manifest import WEIGHTS, graph_file

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Arrays = dict[str, NDArray[Any]]
_QUIET = 3  # errors only


class Graphs:
    """The graphs of a model, each loaded when it is first run. Threads may run them together.

    Args:
        folder: Where the graphs are.
        weights: The file that their weights are in.
    """

    def __init__(self, folder: Path, weights: Path) -> None:
        self._folder = folder
        self._weights = weights
        self._sessions: dict[str, InferenceSession] = {}
        self._loading = threading.Lock()

    def run(self, name: str, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Run a graph; inputs that it does not read are ignored.

        Raises:
            TMCIRError: The graph cannot be loaded.
        """
        session = self._session(name)
        read = {one.name: inputs[one.name] for one in session.get_inputs()}
        names = [one.name for one in session.get_outputs()]
        return dict(zip(names, session.run(names, read), strict=True))

    def _session(self, name: str) -> InferenceSession:
        with self._loading:
            if name not in self._sessions:
                self._sessions[name] = self._load(self._folder / graph_file(name))
            return self._sessions[name]

    def _load(self, path: Path) -> InferenceSession:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _QUIET
        options.intra_op_num_threads = num_threads()
        # Threads that wait do not take the processor from those that decode or answer.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            # Handed over and not looked up beside the graph: in the cache of a hub both are links.
            weights = self._weights.read_bytes()
            options.add_external_initializers_from_files_in_memory(
                [WEIGHTS], [weights], [len(weights)]
            )
            return onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the library raises no narrower one
            raise TMCIRError(f"{path}: cannot be loaded: {first_line(error)}") from None


def num_threads() -> int:
    """Return the threads of one run: ``OMP_NUM_THREADS``, or the cores this process may use."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def concatenated(parts: list[NDArray[np.float32]], width: int) -> NDArray[np.float32]:
    """Join rows float32 [n, width] to [N, width]; none give [0, width]."""
    return np.concatenate(parts) if parts else np.empty((0, width), np.float32)
