"""The gallery: build and update it from photos, search it with an image, a text or both."""

from tmcir.gallery.gallery import Gallery, Hit
from tmcir.gallery.indexing import AddReport, EmbeddingModel
from tmcir.gallery.store import ModelRecord

__all__ = ["AddReport", "EmbeddingModel", "Gallery", "Hit", "ModelRecord"]
