"""Contrastive losses of METHOD.md, equations (1) and (4).

Letters used in shapes: N samples in the (gathered) batch, K further negatives of each, D embedding
size.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(
    left: Tensor,
    right: Tensor,
    scale: Tensor | float,
    groups: Tensor | None = None,
    symmetric: bool = False,
    hard_negatives: Tensor | None = None,
    hard_mask: Tensor | None = None,
) -> Tensor:
    """Return the InfoNCE loss of N aligned pairs.

    One-way it is equation (1) of METHOD.md, L_align: ``left`` are the images, ``right`` the
    modification texts. Symmetric it is equation (4), L_fuse: ``left`` are the queries, ``right``
    the targets.

    Args:
        left: float [N, D], L2-normalised; row i belongs to row i of ``right``.
        right: float [N, D], L2-normalised.
        scale: 1 / tau, a positive scalar.
        groups: long [N]. Rows with equal numbers have equal texts (1) or equal targets (4): they
            are not negatives of each other. None takes all as different.
        symmetric: Average with the loss from right to left.
        hard_negatives: float [N, K, D], L2-normalised. Row i holds further negatives of row i of
            ``left`` alone, such as the reference image of a query.
        hard_mask: bool [N, K], False where a row has fewer of them; None: all have K.

    Returns:
        The mean loss, a scalar.

    Recommendation:
        Large batches: the loss learns from the negatives it sees. ``micro_batch_images`` keeps the
        memory low without losing them.

    Example:
        >>> pairs = torch.eye(2)
        >>> round(info_nce(pairs, pairs, scale=1.0).item(), 4)  # log(1 + exp(-1))
        0.3133
    """
    logits = scale * left.float() @ right.float().T  # [N, N]
    target = torch.arange(len(left), device=left.device)
    if groups is not None:
        same = groups[:, None] == groups[None, :]
        same.fill_diagonal_(False)
        logits = logits.masked_fill(same, -torch.inf)
    forward = logits
    if hard_negatives is not None:
        own = scale * (left[:, None].float() * hard_negatives.float()).sum(dim=-1)  # [N, K]
        if hard_mask is not None:
            own = own.masked_fill(~hard_mask, -torch.inf)
        forward = torch.cat([logits, own], dim=1)  # [N, N + K]
    loss = functional.cross_entropy(forward, target)
    if symmetric:
        loss = (loss + functional.cross_entropy(logits.T, target)) / 2
    return loss
