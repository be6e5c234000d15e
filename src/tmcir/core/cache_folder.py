"""The folder of what is computed once and found again by later runs."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER_VARIABLE = "TMCIR_CACHE"
"""Environment variable: the folder of caches."""


def cache_folder() -> Path:
    """Return the folder of caches: ``TMCIR_CACHE``, else ``tmcir`` in the user's cache folder."""
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tmcir"
