"""Loading a model by its name, folder or hub id, for either runtime."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, overload

from tmcir.core.errors import TMCIRError, install_command, unknown_choice
from tmcir.core.shipped import MODEL_INDEX, is_shipped, shipped_folder
from tmcir.runtime.manifest import MANIFEST, changed_file, read_manifest
from tmcir.runtime.model import OnnxModel

if TYPE_CHECKING:
    import torch

    from tmcir.models import TMCIR

Runtime = Literal["torch", "onnx", "auto"]
"""What runs a model: torch, its exported graphs, or graphs where they fit and else torch."""

RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)


@overload
def load(
    source: str | Path,
    device: str | torch.device | None = None,
    runtime: Literal["torch"] = "torch",
) -> TMCIR: ...


@overload
def load(
    source: str | Path, device: str | torch.device | None = None, *, runtime: Literal["onnx"]
) -> OnnxModel: ...


@overload
def load(
    source: str | Path, device: str | torch.device | None = None, *, runtime: Runtime
) -> TMCIR | OnnxModel: ...


def load(
    source: str | Path, device: str | torch.device | None = None, runtime: Runtime = "torch"
) -> TMCIR | OnnxModel:
    """Load a model, ready to search with.

    A sentence-transformers model that embeds an image and a text together comes as a
    ``ComposedModel``: it searches and is measured as a ``TMCIR``, but has nothing to train here.

    Args:
        source: The name of a shipped model, a model directory, or a folder or Hugging Face id of a
            TMCIR model, of a published encoder such as a CLIP, or of a composed
            sentence-transformers model. An encoder gets an untrained fusion: queries are exactly
            the normalised sum.
        device: Where torch's weights go; None takes a GPU where there is one.
        runtime: ``torch`` gives a ``TMCIR``, which can be trained and changed. ``onnx`` gives an
            ``OnnxModel`` over the graphs that `tmcir export` wrote into the model directory: NumPy
            arrays, no torch, the CPU. ``auto`` takes graphs where they fit the weights.

    Raises:
        TMCIRError: There is no such model, it is of a type that is not supported, or what its
            runtime needs is not there.
    """
    checked_runtime(runtime)
    if is_shipped(source, MODEL_INDEX):
        source = shipped_folder(str(source), MODEL_INDEX) or source
    found = None if runtime == "torch" else _load_graphs(source)
    if isinstance(found, OnnxModel):
        return found
    if runtime == "onnx":
        raise TMCIRError(found)
    if find_spec("torch") is None or find_spec("transformers") is None:
        command = install_command("torch")
        raise TMCIRError(
            f"{source}: torch is not installed: `{command}` brings it; runtime onnx needs none"
            if found is None
            else f"{found}; or `{command}` brings torch, which needs no graphs"
        )
    from tmcir.models.loading import load as load_torch  # seconds to import

    return load_torch(source, device)


def checked_runtime(name: str) -> Runtime:
    """Return the runtime of that name.

    Raises:
        TMCIRError: There is none.
    """
    if name not in RUNTIMES:
        raise unknown_choice("runtime", name, RUNTIMES)
    return name


def _load_graphs(source: str | Path) -> OnnxModel | str:
    """Return the model, or why its graphs cannot be used."""
    folder = Path(source)
    export = f"`tmcir export {source} {source}` writes them"
    manifest = read_manifest(folder)
    if manifest is None:
        return f"{source}: has no graphs ({MANIFEST}): {export}"
    changed = changed_file(folder, manifest)
    if changed is not None:
        return f"{source}: its graphs are not of this {changed}: {export}"
    return OnnxModel(folder, manifest, str(source))
