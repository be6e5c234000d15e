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


def is_shipped(source: str | Path, index: str) -> bool:
    """Return whether a name means shipped weights: a folder of that name with weights comes first.

    A folder counts only if it has the index file, so that an unrelated folder hides nothing.
    """
    return not (Path(source) / index).is_file() and str(source) in shipped_names(index)


def _folder() -> Path:
    return Path(str(resources.files("tmcir"))) / "weights"
