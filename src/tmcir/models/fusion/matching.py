"""Which patch goes into which word: equation (2) of METHOD.md and the weights of equation (3).

Letters used in shapes: N samples, P patch tokens, L text tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tmcir.models.composer import MergeMap


def match(
    similarity: Tensor,
    content: Tensor,
    threshold: Tensor,
    alpha_scale: Tensor,
    alpha_offset: Tensor,
    merge_temperature: float,
    match_temperature: float | None = None,
    merge: bool = True,
) -> MergeMap:
    """Assign every patch to its most similar word, and say how much of it the word absorbs.

    Hard matching absorbs all of a patch from the threshold on, and nothing below. Soft matching
    absorbs m_i = sigmoid((S_i,a(i) - theta) / tau_s); with tau_s to 0 it becomes hard matching.

    Args:
        similarity: float [N, P, L], S_ij.
        content: bool [N, L], True where a text token is content.
        threshold: float [N], theta.
        alpha_scale: c1 of equation (3), a scalar.
        alpha_offset: c0 of equation (3), a scalar.
        merge_temperature: tau_m of equation (3).
        match_temperature: tau_s; None matches hard.
        merge: False matches nothing.

    Returns:
        The merge map, float32.
    """
    similarity = similarity.masked_fill(~content[:, None, :], -1.0)
    best, word = similarity.max(dim=-1)  # [N, P]
    above = best - threshold[:, None]
    log_absorbed = (
        torch.zeros_like(above).masked_fill(above < 0, -torch.inf)
        if match_temperature is None
        else functional.logsigmoid(above / match_temperature)
    )
    possible = content.any(dim=1, keepdim=True) & merge
    absorbed = log_absorbed.exp() * possible  # [N, P]
    places = torch.arange(similarity.shape[-1], device=word.device)  # [L]
    chosen = (word[..., None] == places) & (absorbed > 0)[..., None]
    # A finite floor instead of -inf: a word without matches must not make 0 / 0.
    logits = similarity / merge_temperature + log_absorbed[..., None]
    weights = functional.softmax(logits.masked_fill(~chosen, -1e9), dim=1) * chosen
    parts = absorbed[..., None] * chosen  # [N, P, L]
    merged = parts.amax(dim=1)  # [N, L]
    strongest = similarity.masked_fill(~chosen, -1.0).amax(dim=1)  # [N, L]
    return MergeMap(
        similarity=similarity,
        assignment=word.masked_fill(~((above >= 0) & possible), -1),
        absorbed=absorbed,
        weights=weights,
        merged=merged,
        counts=parts.sum(dim=1),
        alpha=torch.sigmoid(alpha_scale * strongest + alpha_offset) * merged,
        threshold=threshold,
    )
