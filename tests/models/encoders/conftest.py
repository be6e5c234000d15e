from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.conftest import photos, products
from tests.tiny_encoders import FAMILIES

__all__ = ["folders", "photos", "products"]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of every family, as ``tmcir.load`` takes it."""
    return {name: save(tmp_path_factory.mktemp("family")) for name, save in FAMILIES.items()}
