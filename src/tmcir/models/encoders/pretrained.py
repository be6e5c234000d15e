"""Loading published checkpoints: safetensors only, and no code from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import cached_file

from tmcir.core.errors import TMCIRError, first_line
from tmcir.core.json_files import read_json


def load_weights(kind: Any, source: str, optional: tuple[str, ...] = ()) -> Any:
    """Load a transformers model of class ``kind``, every weight of which the checkpoint must have.

    Args:
        kind: The class, or an ``Auto`` class.
        source: Folder or Hugging Face id.
        optional: Prefixes of weights that may be missing.

    Raises:
        TMCIRError: There is no such checkpoint, or weights are missing from it.
    """
    try:
        model, report = kind.from_pretrained(
            source, use_safetensors=True, output_loading_info=True, trust_remote_code=False
        )
    except OSError as error:
        raise TMCIRError(f"{source}: {first_line(error)}") from None
    missing = sorted(key for key in report["missing_keys"] if not key.startswith(optional))
    if missing:
        raise TMCIRError(f"{source}: the checkpoint lacks weights: {', '.join(missing[:3])}, ...")
    return model


def load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    """Load a checkpoint's tokenizer.

    Raises:
        TMCIRError: There is none.
    """
    try:
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise TMCIRError(f"{source}: no tokenizer: {first_line(error)}") from None


def load_preprocessing(source: str) -> dict[str, Any]:
    """Return the content of a checkpoint's preprocessor_config.json; {} where it has none.

    Raises:
        TMCIRError: The file is not JSON.
    """
    try:
        path = cached_file(
            source, "preprocessor_config.json", _raise_exceptions_for_missing_entries=False
        )
    except OSError as error:
        raise TMCIRError(f"{source}: {first_line(error)}") from None
    content: dict[str, Any] = read_json(Path(path)) if path else {}
    return content
