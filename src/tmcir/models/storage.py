"""Saving and loading model directories, and the identity of a model.

A directory holds ``config.json``, ``model.safetensors``, ``preprocessor_config.json``, tokenizer
files and ``README.md``. Nothing in it is code, and no pickle is ever read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer

from tmcir.core.errors import TMCIRError, first_line
from tmcir.core.files import LFS_POINTER, staged_directory, write_text
from tmcir.core.json_files import read_json
from tmcir.models.encoders import Encoder, encoder_class

if TYPE_CHECKING:
    from tmcir.models.tmcir import TMCIR

FORMAT = "tmcir-3"
CONFIG, PREPROCESSOR, WEIGHTS, CARD = (
    *("config.json", "preprocessor_config.json"),
    *("model.safetensors", "README.md"),
)
_FILES = ["*.json", WEIGHTS, CARD, "*.txt", "*.model"]
_DOWNLOAD_OPTIONS = ("revision", "cache_dir", "force_download", "token", "local_files_only")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a model directory describes, before weights are loaded.

    Attributes:
        encoder: The towers, with random weights.
        method: How queries are composed.
        settings: The method's settings.
        card: Text of README.md, if there is one.
    """

    encoder: Encoder
    method: str
    settings: dict[str, Any]
    card: str | None


def save(model: TMCIR, target: Path) -> None:
    """Write a model directory; it is complete as soon as it has a ``config.json``."""
    config = {
        "format": FORMAT,
        "encoder": {"family": model.encoder.family, **model.encoder.config()},
        "method": {"name": model.method, **model.settings},
    }
    with staged_directory(target) as folder:
        model.encoder.tokenizer.save_pretrained(folder)
        write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")
        preprocessing = json.dumps(model.encoder.preprocessor.to_dict(), indent=2) + "\n"
        write_text(folder / PREPROCESSOR, preprocessing)
        if model.card is not None:
            write_text(folder / CARD, model.card)
        halved = model.half_precision_files
        weights = {key: _stored(value, halved) for key, value in model.state_dict().items()}
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def find_directory(source: str, options: Mapping[str, Any]) -> Path:
    """Return a model's local folder, downloaded from the Hugging Face hub if need be."""
    folder = Path(source)
    if folder.is_dir():
        return folder
    download = {name: options[name] for name in _DOWNLOAD_OPTIONS if name in options}
    return Path(snapshot_download(source, allow_patterns=_FILES, **download))


def read_parts(folder: Path) -> Parts:
    """Build the towers that a model directory describes, and read its method and settings.

    Raises:
        TMCIRError: It is no model directory, or a file of it is damaged.
    """
    config = read_json(folder / CONFIG)
    if config.get("format") != FORMAT:
        raise TMCIRError(f"{folder / CONFIG}: not a TMCIR model ({FORMAT})")
    tokenizers = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model")
    if not any(any(folder.glob(name)) for name in tokenizers):
        raise TMCIRError(f"{folder / tokenizers[0]}: no such file")
    try:
        encoder, method = dict(config["encoder"]), dict(config["method"])
        card = folder / CARD
        return Parts(
            encoder=encoder_class(encoder.pop("family")).from_config(
                encoder, AutoTokenizer.from_pretrained(folder), read_json(folder / PREPROCESSOR)
            ),
            method=method.pop("name"),
            settings=method,
            card=card.read_text(encoding="utf-8") if card.is_file() else None,
        )
    except TMCIRError:
        raise
    except Exception as error:  # any message of a library about a damaged file, in one line
        raise unusable(folder, error) from None


def unusable(folder: Path, error: Exception) -> TMCIRError:
    """Build the error for a model directory that a library cannot read."""
    return TMCIRError(f"{folder}: not a usable model directory: {first_line(error)}")


def load_weights(model: TMCIR, path: Path) -> None:
    """Load every weight from a safetensors file.

    Raises:
        TMCIRError: The file is missing, broken, or of another architecture.
    """
    if not path.is_file():
        raise TMCIRError(f"{path}: no such file")
    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER.encode():
            raise TMCIRError(f"{path}: is a Git LFS pointer: `git lfs pull` fetches the weights")
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise TMCIRError(f"{path}: cannot load the weights: {first_line(error)}") from None


def identity(model: TMCIR) -> str:
    """Return a hash of all that embeddings depend on: equal hashes, equal embeddings.

    Neither the model's name nor the version of a library is in it, so that a gallery outlives a
    renamed folder and an upgrade.
    """
    encoder = model.encoder
    towers = {"family": encoder.family, **encoder.embedding_settings()}
    # Without defaults, so that a gallery outlives new settings of a later version, too.
    settings = type(model.composer).Settings.model_validate(model.settings)
    method = {"name": model.method, **settings.model_dump(mode="json", exclude_defaults=True)}
    described = json.dumps([towers, encoder.preprocessor.to_dict(), method], sort_keys=True)
    digest = hashlib.blake2b(described.encode(), digest_size=16)
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _stored(weight: Tensor, halved: bool) -> Tensor:
    # Vectors and numbers (norms, temperature, running statistics) are small: they stay exact.
    halved = halved and weight.ndim > 1 and weight.is_floating_point()
    return (weight.half() if halved else weight).contiguous()
