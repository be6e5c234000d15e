"""Loading a model by its name, folder or hub id."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub.errors import HfHubHTTPError
from transformers.utils import cached_file

from tmcir.core.errors import TMCIRError, first_line, unknown_choice
from tmcir.core.json_files import read_json
from tmcir.core.shipped import MODEL_INDEX, is_shipped, shipped_folder, shipped_names
from tmcir.models.encoders import is_encoder, load_encoder
from tmcir.models.storage import FORMAT
from tmcir.models.tmcir import TMCIR


def load(source: str | Path, device: str | torch.device | None = None) -> TMCIR:
    """Load a model, ready to search with.

    A sentence-transformers model that embeds an image and a text together comes as a
    ``ComposedModel``: it searches and is measured as a ``TMCIR``, but has nothing to train here.

    Args:
        source: The name of a shipped model, a model directory, or a folder or Hugging Face id of a
            TMCIR model, of a published encoder such as a CLIP, or of a composed
            sentence-transformers model. An encoder gets an untrained fusion: queries are exactly
            the normalised sum.
        device: Where the weights go; None takes a GPU where there is one.

    Raises:
        TMCIRError: There is no such model, or it is of a type that is not supported.
    """
    if is_shipped(source, MODEL_INDEX):
        source = shipped_folder(str(source), MODEL_INDEX) or source
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    config = _read_config(str(source))
    if config.get("format") == FORMAT:
        model = TMCIR.from_pretrained(source)
    elif not is_encoder(config) and _has_file(str(source), "modules.json"):
        from tmcir.models.composed import ComposedModel

        return cast(TMCIR, ComposedModel.from_pretrained(str(source), device))
    else:
        encoder = load_encoder(str(source), config)
        # The fusion's weights have no effect before training, but they are in the identity that a
        # gallery remembers: the same ones every time.
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            model = TMCIR(encoder, name=str(source))
    return model.to(device).eval()


def _read_config(source: str) -> dict[str, Any]:
    folder = Path(source)
    if folder.is_dir():
        if not (folder / "config.json").exists() and _has_file(source, "modules.json"):
            return {}  # a sentence-transformers model whose first module has a folder of its own
        content = read_json(folder / "config.json")
    elif folder.exists() or source.startswith((".", "/", "~", "runs/")):
        raise TMCIRError(f"{source}: no such model directory")
    elif "/" not in source and get_close_matches(source, shipped_names(MODEL_INDEX), n=1):
        raise unknown_choice("model", source, shipped_names(MODEL_INDEX))
    else:
        try:
            content = read_json(Path(str(cached_file(source, "config.json"))))
        except (OSError, HfHubHTTPError) as error:
            reason = first_line(error)
            raise TMCIRError(
                f"no model {source!r}: neither a directory here nor reachable on the Hugging Face"
                f" hub ({reason})"
            ) from None
    if not isinstance(content, dict):
        raise TMCIRError(f"{source}: config.json is not an object")
    return content


def _has_file(source: str, name: str) -> bool:
    if Path(source).is_dir():
        return (Path(source) / name).is_file()
    return cached_file(source, name, _raise_exceptions_for_missing_entries=False) is not None
