from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import build_model, draw_catalogue
from tmcir.data.fashion_products import FashionProducts
from tmcir.models import TMCIR


@pytest.fixture(scope="session")
def products(tmp_path_factory: pytest.TempPathFactory) -> FashionProducts:
    root = draw_catalogue(tmp_path_factory.mktemp("catalogue") / "products", items=60)
    return FashionProducts(root, "train")


@pytest.fixture(scope="session")
def model(products: FashionProducts) -> TMCIR:
    return build_model(products)


@pytest.fixture(scope="session")
def photos(products: FashionProducts) -> list[Path]:
    return [products.image_path(item.id) for item in products.items[:5]]
