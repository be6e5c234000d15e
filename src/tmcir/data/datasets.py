"""Opening a dataset by its name."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.files import expand_user
from tmcir.data.dataset import Dataset

# Imported when it is opened, so that no dataset loads the module of another.
_CLASSES = {
    "fashion-iq": "tmcir.data.fashion_iq:FashionIQ",
    "cirr": "tmcir.data.cirr:CIRR",
    "circo": "tmcir.data.circo:CIRCO",
    "fashion-products": "tmcir.data.fashion_products:FashionProducts",
    "clothing": "tmcir.data.clothing:Clothing",
    "catalogue": "tmcir.data.catalogue:Catalogue",
    "jsonl": "tmcir.data.jsonl:JSONLines",
    "rendered": "tmcir.rendered.catalogue:RenderedCatalogue",
    "mixed": "tmcir.data.mixed:Mixed",
}
DATASETS = tuple(_CLASSES)
# Datasets that draw their images into a folder that need not exist.
_DRAWN = frozenset(["rendered"])


def open_dataset(name: str, root: str | Path, split: str | None = None, **options: Any) -> Dataset:
    """Open a split of a dataset.

    Args:
        name: One of ``DATASETS``. ``fashion-iq/dress`` is short for Fashion-IQ with
            ``categories="dress"``.
        root: The dataset's folder.
        split: The split; None takes the dataset's default.
        options: Further arguments of the dataset's class, such as ``categories``.

    Raises:
        TMCIRError: The name, the split or an option is unknown, or the folder lacks a file.

    Example:
        >>> dataset = open_dataset("fashion-iq", "data/fashion-iq", "val", categories=["dress"])
    """
    name, _, categories = name.partition("/")
    if name not in _CLASSES:
        raise unknown_choice("dataset", name, _CLASSES)
    if categories:
        if "categories" in options:
            raise TMCIRError(f"categories are given twice: {name}/{categories} and as an option")
        options["categories"] = categories
    module, kind = _CLASSES[name].split(":")
    build = getattr(import_module(module), kind)
    _check_options(name, build, options)
    folder = expand_user(root)
    if not is_there(name, folder):
        raise TMCIRError(f"{folder}: no such folder, given as the root of {name}")
    if split is not None:
        options["split"] = split
    dataset: Dataset = build(folder, **options)
    return dataset


def is_there(name: str, folder: Path) -> bool:
    """Return whether a dataset's folder exists, or need not exist."""
    return name in _DRAWN or folder.exists()


def _check_options(name: str, build: Any, options: dict[str, Any]) -> None:
    valid = [key for key in inspect.signature(build).parameters if key not in ("root", "split")]
    for key in options:
        if key not in valid:
            if not valid:
                raise TMCIRError(f"{name} takes no option {key!r}")
            raise unknown_choice(f"{name} option", key, valid)
