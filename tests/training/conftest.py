from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import draw_catalogue
from tmcir.data.fashion_products import FashionProducts


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_catalogue(tmp_path_factory.mktemp("catalogue") / "products")


@pytest.fixture(scope="session")
def products(catalogue: Path) -> FashionProducts:
    return FashionProducts(catalogue, "train")
