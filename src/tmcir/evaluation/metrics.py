"""Ranking metrics on tensors: one value a query, ties broken by gallery order.

Scores are float [Q, G]: Q queries, G gallery images in gallery order, higher is better. An image
that leaves the ranking has the score -inf. NaN is an error: every comparison with it is false, so
that it would count as a hit. Further letters: A answers, S subset members, K list length;
index tensors are long and padded with -1.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from tmcir.core.errors import TMCIRError

NEVER = 2**62
"""Rank of an answer that is not in the ranking; greater than any K."""

# Scores computed at once: 16 MB of float32, and a few times as much for the comparisons.
CELLS = 4_000_000

# Matrix products use another kernel for a single row, and for columns beyond a multiple of the
# vector width. Scores of equal images may then differ in the last bit, and ties would be lost:
# inputs are padded so that no product has either.
_ROWS, _WIDTH = 2, 16


def score_chunks(
    queries: Tensor, gallery: Tensor, removed: Tensor | None = None, cells: int = CELLS
) -> Iterator[tuple[slice, Tensor]]:
    """Yield dot products of queries and gallery, some queries at a time, in order.

    Args:
        queries: float [Q, D].
        gallery: float [G, D].
        removed: long [Q], the gallery image that leaves each query's ranking, -1 for none.
        cells: Scores that a chunk may hold; a chunk has at least one query.

    Yields:
        The chunk's rows, and its scores [rows, G].

    Raises:
        TMCIRError: An embedding is NaN or infinite.
    """
    for name, embeddings in (("query", queries), ("gallery", gallery)):
        if not bool(embeddings.isfinite().all()):
            raise TMCIRError(f"a {name} embedding is not finite: the model's weights may be broken")
    step = max(1, cells // max(1, len(gallery)))
    padded = pad(gallery, (0, 0, 0, -len(gallery) % _WIDTH))
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        chunk = queries[rows]
        several = chunk.expand(_ROWS, -1) if len(chunk) == 1 else chunk
        scores = (several @ padded.T)[: len(chunk), : len(gallery)]
        if removed is not None:
            remove(scores, removed[rows])
        yield rows, scores


def remove(scores: Tensor, removed: Tensor) -> None:
    """Remove an image from each query's ranking, in place.

    Args:
        scores: float [Q, G].
        removed: long [Q], -1 where nothing is removed.
    """
    rows = (removed >= 0).nonzero().squeeze(1)
    scores[rows, removed[rows]] = -torch.inf


def answer_ranks(scores: Tensor, answers: Tensor) -> Tensor:
    """Return the rank of each query's best-ranked answer.

    The rank is the number of images with a greater score, plus those with an equal score that come
    earlier in the gallery: the result of a stable sort, without sorting.

    Args:
        scores: float [Q, G].
        answers: long [Q, A], right answers, padded with -1.

    Returns:
        long [Q], 0 for the first place; ``NEVER`` where no answer is in the ranking.

    Raises:
        TMCIRError: A score is NaN.
    """
    _reject_nan(scores)
    own = scores.gather(1, answers.clamp(min=0))
    own = own.masked_fill(answers < 0, -torch.inf)
    best = own.amax(dim=1, keepdim=True)  # [Q, 1]
    # Of several answers with the best score the earliest in the gallery is ranked first.
    first = answers.masked_fill((own < best) | (answers < 0), scores.shape[1])
    first = first.amin(dim=1, keepdim=True)  # [Q, 1]
    order = torch.arange(scores.shape[1], device=scores.device)
    ahead = (scores > best) | ((scores == best) & (order < first))  # [Q, G]
    return ahead.sum(dim=1).masked_fill(best.squeeze(1) == -torch.inf, NEVER)


def subset_scores(scores: Tensor, subset: Tensor) -> Tensor:
    """Return scores that keep only the members of each query's subset in the ranking.

    Args:
        scores: float [Q, G].
        subset: long [Q, S], padded with -1.

    Returns:
        float [Q, G], -inf outside the subset.
    """
    rows, columns = (subset >= 0).nonzero(as_tuple=True)
    members = subset[rows, columns]
    kept = torch.full_like(scores, -torch.inf)
    kept[rows, members] = scores[rows, members]
    return kept


def top(scores: Tensor, k: int) -> Tensor:
    """Return the first k images of each ranking.

    ``torch.topk`` does not define the order of equal scores, so each score becomes a unique key:
    its bits, as an integer of the same order, followed by the position in the gallery.

    Args:
        scores: float [Q, G]; compared as float32.
        k: Length of the lists, cut to G.

    Returns:
        long [Q, k], best first; -1 where the ranking is shorter.

    Raises:
        TMCIRError: A score is NaN.
    """
    _reject_nan(scores)
    count = scores.shape[1]
    values = scores.float() + 0.0  # -0.0 becomes 0.0: the two are equal, but their bits differ
    bits = values.contiguous().view(torch.int32)
    # For negative floats the order of the bits, read as an integer, is reversed.
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    order = torch.arange(count - 1, -1, -1, device=scores.device)
    keys = (ordered << 32) | order
    best = keys.topk(min(k, count), dim=1).values
    ranked = count - 1 - (best & 0xFFFFFFFF)
    return ranked.masked_fill(values.gather(1, ranked) == -torch.inf, -1)


def recall_at(ranks: Tensor, k: int) -> Tensor:
    """Return float64 [Q]: 1 where the rank (long [Q], from 0) is among the first k, else 0."""
    return (ranks < k).double()


def average_precision_at(ranked: Tensor, answers: Tensor, k: int) -> Tensor:
    """Return AP@K of each query with several right answers (METHOD.md section 6, CIRCO).

    AP@K = sum_{i<=K} precision@i * rel(i) / min(|GT|, K).

    Args:
        ranked: long [Q, R], the first images of each ranking, -1 for none; R >= k unless the
            gallery is smaller.
        answers: long [Q, A], distinct right answers, padded with -1; at least one a query.
        k: K.

    Returns:
        float64 [Q], in [0, 1].
    """
    ranked = ranked[:, :k]
    same = (ranked[:, :, None] == answers[:, None, :]) & (ranked >= 0)[:, :, None]  # [Q, K, A]
    relevant = same.any(dim=2).double()  # [Q, K]
    places = torch.arange(1, ranked.shape[1] + 1, device=ranked.device)
    precision = relevant.cumsum(dim=1) / places
    return (precision * relevant).sum(dim=1) / (answers >= 0).sum(dim=1).clamp(max=k)


def _reject_nan(scores: Tensor) -> None:
    if bool(scores.isnan().any()):
        raise TMCIRError("a score is NaN: the model's weights or embeddings are broken")
