"""The gallery: build and update it from photos, search it with an image, a text or both."""

from tmcir.gallery.arranging import Sort
from tmcir.gallery.conditions import OPERATORS, Condition, to_where
from tmcir.gallery.gallery import Gallery
from tmcir.gallery.indexing import AddReport
from tmcir.gallery.model import EmbeddingModel
from tmcir.gallery.query import Query, Term
from tmcir.gallery.results import GalleryInfo, Hit, Item
from tmcir.gallery.roles import Roles
from tmcir.gallery.stores.base import ModelRecord
from tmcir.gallery.turns import to_query
from tmcir.gallery.words import Words

__all__ = [
    "OPERATORS",
    "AddReport",
    "Condition",
    "EmbeddingModel",
    "Gallery",
    "GalleryInfo",
    "Hit",
    "Item",
    "ModelRecord",
    "Query",
    "Roles",
    "Sort",
    "Term",
    "Words",
    "to_query",
    "to_where",
]
