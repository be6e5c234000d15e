"""Splitting products into training, validation and test by a hash, near-duplicates together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tmcir.core.cache_folder import cache_folder
from tmcir.core.errors import ImageError, TMCIRError
from tmcir.core.files import write_text
from tmcir.core.hashing import stable_name, stable_number
from tmcir.core.images import read_image
from tmcir.runs.prefetch import prefetch

SPLITS = ("train", "val", "test")
#: Minimum correlation at 16 x 16 pixels of near-duplicates: resized and recompressed
#: copies reach 0.998, other products in the same pose stay below 0.996.
SAME_PIXELS = 0.997

_SIDE = 16
_BLOCK = 1024
_THREADS = 4


def split_of(product: str) -> str:
    """Return the split of a product: a fifth is test, a fifth val, the rest train."""
    return {0: "test", 1: "val"}.get(stable_number(f"product {product}") % 5, "train")


def splits_of(root: Path, names: Sequence[str], products: Sequence[str]) -> dict[str, str]:
    """Return the split of each photo, those of near-duplicates equal.

    Photos are compared once: the result is cached until a file changes.

    Args:
        root: Folder of the photos.
        names: Paths below it.
        products: The product of each.
    """
    described = [f"{root.absolute()}"]
    for name, product in zip(names, products, strict=True):
        status = (root / name).stat()
        described.append(f"{name}\n{product}\n{status.st_size} {status.st_mtime_ns}")
    file = cache_folder() / "near-duplicates" / f"{stable_name(chr(10).join(described))}.json"
    joined = _read(file, len(names))
    if joined is None:
        joined, _ = join_near_duplicates(products, small_pixels(root / name for name in names))
        with suppress(TMCIRError):  # a folder that cannot be written costs time alone
            write_text(file, json.dumps(joined))
    return {name: split_of(product) for name, product in zip(names, joined, strict=True)}


def _read(file: Path, count: int) -> list[str] | None:
    """Return the products that were found before; None where there is no such file."""
    try:
        joined = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return joined if isinstance(joined, list) and len(joined) == count else None


def small_pixels(paths: Iterable[Path]) -> NDArray[np.float32]:
    """Return photos at 16 x 16, centred and of length 1, float32 [N, 768]; 0 for a broken one."""
    read = prefetch(_pixels, paths, ahead=64, threads=_THREADS)
    found = list(read)
    return np.stack(found) if found else np.zeros((0, 3 * _SIDE**2), np.float32)


def join_near_duplicates(
    products: Sequence[str], pixels: NDArray[np.float32]
) -> tuple[list[str], int]:
    """Join products of which two photos are nearly equal.

    Args:
        products: The product of each photo.
        pixels: Of ``small_pixels``, in the same order.

    Returns:
        The first name (in alphabetical order) of the products that each photo's is joined with,
        and the number of photos that are nearly equal to another one.
    """
    groups = {product: product for product in products}

    def root(name: str) -> str:
        while groups[name] != name:
            groups[name] = groups[groups[name]]
            name = groups[name]
        return name

    copies = 0
    for start in range(0, len(pixels), _BLOCK):
        near = np.tril(pixels[start : start + _BLOCK] @ pixels.T >= SAME_PIXELS, start - 1)
        for row, other in zip(*near.nonzero(), strict=True):
            first, second = sorted((root(products[start + row]), root(products[other])))
            groups[second] = first
        copies += int(near.any(axis=1).sum())
    return [root(product) for product in products], copies


def _pixels(path: Path) -> NDArray[np.float32]:
    try:
        image = read_image(path, 2 * _SIDE)
    except ImageError:
        return np.zeros(3 * _SIDE**2, np.float32)
    small = image.resize((_SIDE, _SIDE), Image.Resampling.BOX)
    values = np.asarray(small, np.float32).reshape(-1)
    values = values - values.mean()
    length = np.linalg.norm(values)
    return values / length if length > 1 else np.zeros_like(values)
