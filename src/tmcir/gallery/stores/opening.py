"""From the address of a gallery to the store that keeps it."""

from __future__ import annotations

from pathlib import Path

from tmcir.core.errors import missing_package
from tmcir.core.files import expand_user
from tmcir.gallery.stores.base import EXACT_UP_TO, Store


def open_store(uri: str | Path, exact_up_to: int = EXACT_UP_TO) -> Store:
    """Return the store for a folder or an address.

    Args:
        uri: A folder, an object store such as ``s3://bucket/shop``, or
            ``milvus://host:port/collection``.
        exact_up_to: Photos up to which a search compares the query with every one of them.

    Raises:
        TMCIRError: The address cannot be read or reached, or the folder is something else.
    """
    text = str(uri)
    if text.startswith("milvus://"):
        return _open_milvus(text, exact_up_to)
    from tmcir.gallery.stores.lance import LanceStore  # a second to import, and not always needed

    return LanceStore(text if "://" in text else str(expand_user(text)), exact_up_to)


def _open_milvus(uri: str, exact_up_to: int) -> Store:
    try:
        from tmcir.gallery.stores.milvus import MilvusStore
    except ModuleNotFoundError as error:
        raise missing_package(error) or error from None
    return MilvusStore(uri, exact_up_to)
