"""The inputs of composed queries, checked before a model reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tmcir.core.errors import TMCIRError

ImageSource = str | Path | Image.Image


def checked_queries(
    images: Sequence[ImageSource], texts: Sequence[str], balance: float | Sequence[float]
) -> list[float]:
    """Return the balance of each query.

    Raises:
        TMCIRError: The counts of images, texts and balances differ.
    """
    if isinstance(texts, str) or isinstance(images, str | Path | Image.Image):
        raise TMCIRError("compose takes a list of images and a list of texts")
    if len(images) != len(texts):
        raise TMCIRError(f"compose got {len(images)} images and {len(texts)} texts")
    balances = [balance] * len(texts) if isinstance(balance, int | float) else list(balance)
    if len(balances) != len(texts):
        raise TMCIRError(f"compose got {len(texts)} texts and {len(balances)} balances")
    return balances


def check_explained(text: str) -> None:
    """Check that a query has a text to explain.

    Raises:
        TMCIRError: The text is blank.
    """
    if not text.strip():
        raise TMCIRError("there is nothing to explain without a text")


def checked_balance(balance: float | Sequence[float]) -> NDArray[np.float64]:
    """Return balances as an array, float64.

    Raises:
        TMCIRError: One is out of [-1, 1].
    """
    shift = np.asarray(balance, dtype=np.float64)
    if not (np.abs(shift) <= 1).all():  # which rejects NaN as well
        raise TMCIRError(f"balance is {balance}, but must lie between -1 (image) and 1 (text)")
    return shift
