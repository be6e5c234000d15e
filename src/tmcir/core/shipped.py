"""The weights that the package ships, by name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

MODEL_INDEX = "config.json"
EDITOR_INDEX = "model_index.json"


def shipped_names(index: str) -> list[str]:
    """Return the names of the shipped models (``MODEL_INDEX``) or editors (``EDITOR_INDEX``)."""
    folder = _folder()
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if (entry / index).is_file())


def shipped_folder(name: str, index: str) -> Path | None:
    """Return the folder of shipped weights, or None where none have that name."""
    return _folder() / name if name in shipped_names(index) else None


def _folder() -> Path:
    return Path(str(resources.files("tmcir"))) / "weights"
