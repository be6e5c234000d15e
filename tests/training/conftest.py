from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import draw_catalogue
from tests.tiny_encoders import FAMILIES
from tmcir.data.fashion_products import FashionProducts


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_catalogue(tmp_path_factory.mktemp("catalogue") / "products")


@pytest.fixture(scope="session")
def products(catalogue: Path) -> FashionProducts:
    return FashionProducts(catalogue, "train")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of every family, as ``tmcir.load`` takes it."""
    return {name: save(tmp_path_factory.mktemp("family")) for name, save in FAMILIES.items()}
