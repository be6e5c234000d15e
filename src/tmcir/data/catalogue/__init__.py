"""Any table of attributes as composed queries: photos, a CSV, and nothing else."""

from __future__ import annotations

from tmcir.data.catalogue.columns import Column
from tmcir.data.catalogue.dataset import Catalogue
from tmcir.data.catalogue.reading import Item, Products, read_products

__all__ = ["Catalogue", "Column", "Item", "Products", "read_products"]
