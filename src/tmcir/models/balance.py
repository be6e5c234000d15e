"""The balance of composed queries between image and text.

Letters used in shapes: N queries, D joint embedding size.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


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
    shift = shift.expand(query.shape[0]).unsqueeze(1)  # [N, 1]
    end = image.where((shift < 0).to(image.device), text)
    kept, moved = (1 - shift.abs()).to(query), shift.abs().to(query)
    return functional.normalize(kept * query + moved * end, dim=-1)
