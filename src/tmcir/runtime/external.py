"""Graphs without weights: their initialisers point into a safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx import GraphProto, ModelProto, TensorProto

from tmcir.core.errors import TMCIRError

_TYPES = {"F16": TensorProto.FLOAT16, "F32": TensorProto.FLOAT, "I64": TensorProto.INT64}
_MAX_INLINE = 65_536
"""Bytes of a constant that may lie in the graph itself, such as a table of positions."""


def stored_tensors(path: Path) -> dict[str, dict[str, Any]]:
    """Return type (``dtype``), shape and place (``offset``, ``length``) of each tensor by name."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(size))
    header.pop("__metadata__", None)
    return {
        name: {
            "dtype": tensor["dtype"],
            "shape": tensor["shape"],
            "offset": 8 + size + tensor["data_offsets"][0],
            "length": tensor["data_offsets"][1] - tensor["data_offsets"][0],
        }
        for name, tensor in header.items()
    }


def without_weights(model: ModelProto, weights: Path, prefix: str) -> ModelProto:
    """Return a graph whose initialisers are read from ``weights``.

    Half-precision tensors get a cast to float32 behind them, so that the graph computes what torch
    does with the same file.

    Args:
        model: A graph whose initialisers have the names of a state dict.
        weights: The safetensors file that lies beside the graph.
        prefix: What the graph puts before the names in the file.

    Raises:
        TMCIRError: The graph has a large constant that the file lacks.
    """
    stored = stored_tensors(weights)
    slim = ModelProto()
    slim.CopyFrom(model)
    graph = slim.graph
    initializers = list(graph.initializer)
    del graph.initializer[:]
    casts = []
    for initializer in initializers:
        tensor = stored.get(initializer.name.removeprefix(prefix))
        if tensor is None or list(initializer.dims) != tensor["shape"]:
            if initializer.ByteSize() > _MAX_INLINE:
                raise TMCIRError(f"{weights}: lacks {initializer.name}, which a graph needs")
            graph.initializer.append(initializer)
        elif _TYPES[tensor["dtype"]] == initializer.data_type:
            graph.initializer.append(_external(initializer.name, tensor, weights.name))
        else:
            name = f"{initializer.name}:{tensor['dtype']}"
            graph.initializer.append(_external(name, tensor, weights.name))
            casts.append(
                onnx.helper.make_node(
                    "Cast", [name], [initializer.name], to=int(initializer.data_type)
                )
            )
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])
    _strip(slim)
    return slim


def _external(name: str, tensor: Mapping[str, Any], location: str) -> TensorProto:
    found = TensorProto(name=name, data_type=_TYPES[tensor["dtype"]], dims=tensor["shape"])
    found.data_location = TensorProto.EXTERNAL
    for key, value in (
        ("location", location),
        ("offset", tensor["offset"]),
        ("length", tensor["length"]),
    ):
        found.external_data.add(key=key, value=str(value))
    return found


def _strip(model: ModelProto) -> None:
    """Remove what only a reader of the exporter's log needs: nine tenths of a graph's size."""
    del model.metadata_props[:]
    model.doc_string = ""
    _strip_graph(model.graph)
    for function in model.functions:
        del function.metadata_props[:]
        function.doc_string = ""
        for node in function.node:
            del node.metadata_props[:]


def _strip_graph(graph: GraphProto) -> None:
    del graph.metadata_props[:]
    del graph.value_info[:]
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
