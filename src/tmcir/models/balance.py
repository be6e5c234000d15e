"""Checks of query inputs, and the balance between image and text.

Letters used in shapes: N queries, D joint embedding size.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

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


def checked_balance(balance: float | Sequence[float]) -> Tensor:
    """Return balances as a tensor, float64.

    Raises:
        TMCIRError: One is out of [-1, 1].
    """
    shift = torch.as_tensor(balance, dtype=torch.float64)
    if not bool((shift.abs() <= 1).all()):  # which rejects NaN as well
        raise TMCIRError(f"balance is {balance}, but must lie between -1 (image) and 1 (text)")
    return shift


def balanced(query: Tensor, image: Tensor, text: Tensor, shift: Tensor) -> Tensor:
    """Move queries towards the embedding of their image or their text.

    Args:
        query: float [N, D].
        image: float [N, D], the end at -1.
        text: float [N, D], the end at 1.
        shift: float64 [N] or a scalar, in [-1, 1].

    Returns:
        float [N, D], L2-normalised.
    """
    shift = shift.expand(len(query)).unsqueeze(1)  # [N, 1]
    end = image.where((shift < 0).to(image.device), text)
    kept, moved = (1 - shift.abs()).to(query), shift.abs().to(query)
    return functional.normalize(kept * query + moved * end, dim=-1)
