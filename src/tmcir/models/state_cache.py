"""What a frozen image tower made of photos, on disk: a second run encodes none of them again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tmcir.core.files import staged_file
from tmcir.core.hashing import stable_name

_SUFFIX = ".safetensors"
_KEYS = "keys"

States = tuple[Tensor, ...]


def file_key(path: Path, view: str = "") -> str:
    """Return a key that changes when the file does.

    Raises:
        OSError: There is no such file.
    """
    status = path.stat()
    return stable_name(f"{path.absolute()} {status.st_size} {status.st_mtime_ns} {view}")


class StateCache:
    """States by key, in files of some rows each; a killed process keeps all finished files.

    Args:
        folder: Folder of all caches.
        identity: Of what made the states: another one has another cache.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._folder = folder / "images" / identity
        self._places: dict[str, tuple[Path, int]] = {}
        self._loaded: dict[Path, list[Tensor]] = {}
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            with suppress(SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError):
                with safe_open(path, "pt") as file:
                    keys = json.loads(file.metadata()[_KEYS])
                self._places.update({key: (path, row) for row, key in enumerate(keys)})

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def get(self, key: str) -> States | None:
        """Return the states of one photo; None where there are none."""
        place = self._places.get(key)
        if place is None:
            return None
        path, row = place
        if path not in self._loaded:
            with safe_open(path, "pt") as file:
                count = len(file.keys())
                self._loaded[path] = [file.get_tensor(f"{number}") for number in range(count)]
        return tuple(one[row] for one in self._loaded[path])

    def put(self, keys: Sequence[str], states: Sequence[States]) -> None:
        """Write the states of some photos.

        Raises:
            TMCIRError: The folder cannot be written.
        """
        if not keys:
            return
        stacked = [torch.stack(one).contiguous() for one in zip(*states, strict=True)]
        name = hashlib.blake2b("".join(keys).encode(), digest_size=12).hexdigest()
        path = self._folder / f"{name}{_SUFFIX}"
        content = {f"{number}": one for number, one in enumerate(stacked)}
        with staged_file(path) as temporary:
            save_file(content, temporary, {_KEYS: json.dumps(list(keys))})
        self._loaded[path] = stacked
        self._places.update({key: (path, row) for row, key in enumerate(keys)})
