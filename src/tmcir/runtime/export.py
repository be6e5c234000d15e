"""`tmcir export`: graphs of a model, in its model directory and checked against torch.

Needs the extra ``export``.
"""

from __future__ import annotations

import io
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from PIL import Image
from torch import Tensor, nn

from tmcir.core.errors import TMCIRError
from tmcir.core.files import staged_directory, write_bytes, write_json
from tmcir.core.json_files import read_json
from tmcir.core.shipped import MODEL_INDEX, is_shipped, shipped_folder
from tmcir.models import storage
from tmcir.models.loading import load
from tmcir.models.tmcir import TMCIR
from tmcir.runtime.external import without_weights
from tmcir.runtime.graphs import FusionGraph, ImageGraph, TextGraph, example_features
from tmcir.runtime.manifest import (
    FORMAT,
    GRAPHS,
    MANIFEST,
    SOURCES,
    TOKENIZER,
    WEIGHTS,
    Manifest,
    file_hash,
    graph_file,
)
from tmcir.runtime.model import OnnxModel

FAMILIES = ("clip", "dual")
METHODS = ("tmcir", "gate", "weighted-sum", "tirg", "combiner")
TOLERANCE = 1e-4
"""Largest difference of an embedding's element between torch and the graphs."""

_PREFIX = "model."  # what a graph's module puts before the names of the model's weights
_WITH_WORDS = ("ids", "text_mask", "text_tokens")
_TEXTS = ("in red", "", "longer sleeves, a round neck and no buttons, please <|endoftext|>")


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written.

    Attributes:
        folder: The model directory.
        bytes: Size of the graphs, which hold no weights.
        difference: Largest difference to torch that the check found.
    """

    folder: str
    bytes: int
    difference: float


def export(source: str | Path, target: str | Path) -> ExportReport:
    """Write the graphs of a model into a model directory.

    Args:
        source: What `tmcir.load` takes.
        target: Its own directory, or another one, which gets a copy of the model, too.

    Raises:
        TMCIRError: There is no such model, it is of a kind that cannot be exported yet, or its
            graphs do not compute what torch does.
    """
    model = load(source, "cpu")
    _check_exportable(model, str(source))
    folder = Path(target)
    _copy_model(model, source, folder)
    if not (folder / TOKENIZER).is_file():
        raise TMCIRError(f"{folder}: has no {TOKENIZER}: cannot be exported yet")
    return write_graphs(model, folder)


def write_graphs(model: TMCIR, folder: Path) -> ExportReport:
    """Write the graphs of a model that was loaded from ``folder`` into it.

    Raises:
        TMCIRError: The graphs do not compute what torch does.
    """
    (folder / MANIFEST).unlink(missing_ok=True)  # while graphs change, they are of no use
    encoder = model.encoder
    graphs = {name: graph(model, name, folder / WEIGHTS) for name in GRAPHS}
    for name, proto in graphs.items():
        write_bytes(folder / graph_file(name), proto.SerializeToString())
    names = [*SOURCES, *(graph_file(name) for name in GRAPHS)]
    manifest = Manifest(
        format=FORMAT,
        identity=model.identity,
        method=model.method,
        embedding_size=model.embedding_size,
        image_size=model.image_size,
        grid=encoder.grid,
        prefix_tokens=encoder.prefix_tokens,
        suffix_tokens=encoder.suffix_tokens,
        text_length=encoder.text_length,
        padding=int(encoder.tokenizer.pad_token_id),
        files={name: file_hash(folder / name) for name in names},
    )
    difference = _difference(model, OnnxModel(folder, manifest, model.name))
    if not difference <= TOLERANCE:
        raise TMCIRError(f"{folder}: the graphs differ from torch by {difference:.2g}")
    write_json(folder / MANIFEST, manifest.model_dump(mode="json"))
    size = sum((folder / graph_file(name)).stat().st_size for name in GRAPHS)
    return ExportReport(str(folder), size, difference)


def _check_exportable(model: Any, source: str) -> None:
    family = model.encoder.family if isinstance(model, TMCIR) else "sentence-transformers"
    if family not in FAMILIES:
        raise TMCIRError(
            f"{source}: is of family {family}, which cannot be exported yet: {', '.join(FAMILIES)}"
        )
    if model.method not in METHODS:
        raise TMCIRError(
            f"{source}: composes by {model.method}, which cannot be exported yet:"
            f" {', '.join(METHODS)}"
        )


def _copy_model(model: TMCIR, source: str | Path, folder: Path) -> None:
    """Give ``folder`` the files of the model, unless it is the model's own directory."""
    own = shipped_folder(str(source), MODEL_INDEX) if is_shipped(source, MODEL_INDEX) else None
    own = own or Path(source)
    if folder.is_dir() and own.is_dir() and folder.samefile(own):
        if read_json(folder / MODEL_INDEX).get("format") != storage.FORMAT:
            raise TMCIRError(f"{source}: is no TMCIR model yet: export it into another directory")
        return
    if not own.is_dir() or read_json(own / MODEL_INDEX).get("format") != storage.FORMAT:
        model.save_pretrained(folder)
        return
    with staged_directory(folder) as staging:  # byte for byte, half-precision files as they are
        for path in own.iterdir():
            if path.is_file() and path.suffix != ".onnx" and path.name != MANIFEST:
                shutil.copyfile(path, staging / path.name)


def graph(model: TMCIR, name: str, weights: Path) -> ModelProto:
    """Trace a graph over two samples, whose number and length are left open."""
    rows = {0: torch.export.Dim("N", min=1)}
    words = {**rows, 1: torch.export.Dim.DYNAMIC}
    module: nn.Module
    if name == "image":
        side = model.image_size
        module = ImageGraph(model)
        inputs = {"pixels": torch.zeros(2, 3, side, side, dtype=torch.uint8)}
    elif name == "text":
        tokens = model.encoder.tokenize(["a red shirt", "the same in blue"])
        module, inputs = TextGraph(model), {"ids": tokens.ids, "lengths": tokens.lengths}
    else:
        module, inputs = FusionGraph(model), example_features(model, samples=2, words=5)
    shapes = {key: words if key in _WITH_WORDS else rows for key in inputs}
    return without_weights(_exported(module.eval(), inputs, shapes), weights, _PREFIX)


def _exported(
    module: nn.Module, inputs: dict[str, Tensor], shapes: dict[str, dict[int, Any]]
) -> ModelProto:
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            kwargs=inputs,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=list(inputs),
            output_names=list(module(**inputs)),
            optimize=False,  # folding constants would make weights that the file does not have
            verbose=False,
        )
    assert program is not None
    proto: ModelProto = program.model_proto
    onnx.checker.check_model(proto)
    return proto


def _difference(model: TMCIR, graphs: OnnxModel) -> float:
    """Return the largest difference of both runtimes over a few images, texts and queries."""
    generator = np.random.default_rng(0)
    sides = ((300, 200), (200, 300), (64, 64))
    images = [
        Image.fromarray(generator.integers(0, 256, (*side, 3), dtype=np.uint8)) for side in sides
    ]
    texts, balances = list(_TEXTS), [0.0, 0.0, 0.5]
    pairs: list[tuple[Tensor, NDArray[np.float32]]] = [
        (model.encode_images(images), graphs.encode_images(images)),
        (model.encode_texts(texts), graphs.encode_texts(texts)),
        (model.compose(images, texts, balances), graphs.compose(images, texts, balances)),
    ]
    return max(float(np.abs(mine.numpy() - theirs).max()) for mine, theirs in pairs)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes on missing packages and deprecated names to itself."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
