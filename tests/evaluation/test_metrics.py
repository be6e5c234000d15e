from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tmcir.core.errors import TMCIRError
from tmcir.evaluation.metrics import (
    NEVER,
    answer_ranks,
    average_precision_at,
    recall_at,
    remove,
    score_chunks,
    subset_scores,
    top,
)


def slow_ranking(scores: list[float]) -> list[int]:
    """Places in the gallery, best first, equal scores in gallery order, removed ones skipped."""
    places = [place for place, score in enumerate(scores) if score != float("-inf")]
    return sorted(places, key=lambda place: (-scores[place], place))


def slow_rank(scores: list[float], answers: list[int]) -> int:
    ranking = slow_ranking(scores)
    return min((ranking.index(a) for a in answers if a >= 0 and a in ranking), default=NEVER)


def slow_average_precision(ranking: list[int], answers: list[int], k: int) -> float:
    hits, total = 0, 0.0
    for place, image in enumerate(ranking[:k], start=1):
        if image in answers:
            hits += 1
            total += hits / place
    return total / min(len(answers), k)


# Golden values, worked out by hand


def test_rank_counts_greater_scores_and_earlier_equals() -> None:
    scores = torch.tensor([[0.5, 0.9, 0.5, 0.1, 0.5]])
    # 0.9 is first; then the three 0.5 in gallery order (places 0, 2, 4); 0.1 is last.
    expected = {0: 1, 1: 0, 2: 2, 3: 4, 4: 3}
    for answer, rank in expected.items():
        assert answer_ranks(scores, torch.tensor([[answer]])).tolist() == [rank]


def test_the_best_of_several_answers_counts() -> None:
    scores = torch.tensor([[0.5, 0.9, 0.5, 0.1], [0.1, 0.2, 0.3, 0.4]])
    # First query: answers 2 (rank 2) and 3 (rank 3). Second: answers 0 (rank 3) and none.
    assert answer_ranks(scores, torch.tensor([[3, 2], [0, -1]])).tolist() == [2, 3]
    # Of the equal answers 0 and 2, place 0 is ranked first, in whatever order they are given.
    assert answer_ranks(scores[:1], torch.tensor([[2, 0]])).tolist() == [1]


def test_a_removed_answer_is_never_found() -> None:
    scores = torch.tensor([[0.5, 0.9], [0.5, 0.9]])
    remove(scores, torch.tensor([1, -1]))
    ranks = answer_ranks(scores, torch.tensor([[1], [1]]))
    assert ranks.tolist() == [NEVER, 0]
    # Not even with a K beyond the gallery's size.
    assert recall_at(ranks, 100).tolist() == [0.0, 1.0]
    assert answer_ranks(scores, torch.tensor([[-1], [0]])).tolist() == [NEVER, 1]


def test_recall() -> None:
    ranks = torch.tensor([0, 9, 10, 49, 50])
    # Ranks count from 0: rank 9 is the tenth image.
    assert recall_at(ranks, 1).tolist() == [1, 0, 0, 0, 0]
    assert recall_at(ranks, 10).tolist() == [1, 1, 0, 0, 0]
    assert recall_at(ranks, 50).mean().item() == 4 / 5


def test_subset_ranking_leaves_only_members() -> None:
    scores = torch.tensor([[0.9, 0.8, 0.7, 0.6, 0.5]])
    subset = torch.tensor([[4, 2, 3, -1]])
    # Whole gallery: place 3 has rank 3. Among 2, 3 and 4 it is second.
    assert answer_ranks(scores, torch.tensor([[3]])).tolist() == [3]
    assert answer_ranks(subset_scores(scores, subset), torch.tensor([[3]])).tolist() == [1]
    assert top(subset_scores(scores, subset), 3).tolist() == [[2, 3, 4]]


def test_average_precision() -> None:
    ranked = torch.tensor([[7, 3, 8, 5, 1]])
    answers = torch.tensor([[3, 5, 9]])
    # Right at places 2 and 4: precisions 1/2 and 2/4. Three right answers in all.
    # AP@5 = (1/2 + 2/4) / min(3, 5) = 1/3
    assert average_precision_at(ranked, answers, 5).tolist() == pytest.approx([1 / 3])
    # AP@2 = (1/2) / min(3, 2) = 1/4; AP@1 = 0
    assert average_precision_at(ranked, answers, 2).tolist() == pytest.approx([1 / 4])
    assert average_precision_at(ranked, answers, 1).tolist() == [0.0]
    # Both first places right and more answers than K: (1/1 + 2/2) / min(3, 2) = 1
    perfect = torch.tensor([[9, 3, 8]])
    assert average_precision_at(perfect, answers, 2).tolist() == [1.0]


def test_average_precision_pads_answers_and_short_rankings() -> None:
    ranked = torch.tensor([[4, -1, -1]])
    # One right answer, first: 1 / min(1, 10) = 1. The padding of both sides never matches.
    assert average_precision_at(ranked, torch.tensor([[4, -1]]), 10).tolist() == [1.0]
    assert average_precision_at(ranked, torch.tensor([[5, -1]]), 10).tolist() == [0.0]


def test_top_breaks_ties_by_gallery_order() -> None:
    scores = torch.tensor([[1.0, 2.0, 1.0, 2.0, 1.0]])
    assert top(scores, 4).tolist() == [[1, 3, 0, 2]]
    assert top(scores, 9).tolist() == [[1, 3, 0, 2, 4]]


def test_top_orders_negative_zeros_and_infinities() -> None:
    scores = torch.tensor([[-1.0, -0.0, 0.0, -2.0, torch.inf, -torch.inf]])
    # -0.0 and 0.0 are equal, so place 1 precedes place 2; -inf has left the ranking.
    assert top(scores, 6).tolist() == [[4, 1, 2, 0, 3, -1]]


# Bad input


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
def test_embeddings_that_are_not_finite_are_an_error(broken: float) -> None:
    good, bad = torch.ones(2, 3), torch.ones(2, 3)
    bad[1, 2] = broken
    with pytest.raises(TMCIRError, match="a query embedding is not finite"):
        list(score_chunks(bad, good))
    with pytest.raises(TMCIRError, match="a gallery embedding is not finite"):
        list(score_chunks(good, bad))


def test_nan_scores_are_an_error_and_not_a_hit() -> None:
    scores = torch.tensor([[torch.nan, 1.0]])
    with pytest.raises(TMCIRError, match="a score is NaN"):
        answer_ranks(scores, torch.tensor([[0]]))
    with pytest.raises(TMCIRError, match="a score is NaN"):
        top(scores, 1)


# Fast against slow


@pytest.mark.parametrize("cells", [1, 23, 60, 10_000])
def test_chunks_that_do_not_divide_change_nothing(cells: int) -> None:
    generator = torch.Generator().manual_seed(0)
    # Small whole numbers: scores are exact, and most of them tie.
    queries = torch.randint(-2, 3, (13, 3), generator=generator).float()
    gallery = torch.randint(-2, 3, (23, 3), generator=generator).float()
    removed = torch.randint(-1, 23, (13,), generator=generator)
    answers = torch.randint(-1, 23, (13, 4), generator=generator)
    seen: list[int] = []
    ranks: list[int] = []
    lists: list[list[int]] = []
    for rows, scores in score_chunks(queries, gallery, removed, cells):
        seen += range(13)[rows]
        ranks += answer_ranks(scores, answers[rows]).tolist()
        lists += top(scores, 7).tolist()
    assert seen == list(range(13))
    for query in range(13):
        plain = [
            sum(a * b for a, b in zip(queries[query].tolist(), row, strict=True))
            for row in gallery.tolist()
        ]
        if removed[query] >= 0:
            plain[int(removed[query])] = float("-inf")
        assert ranks[query] == slow_rank(plain, answers[query].tolist())
        assert lists[query] == slow_ranking(plain)[:7]


SCORES = st.integers(2, 12).flatmap(
    lambda size: st.lists(
        st.lists(
            st.sampled_from([-1.5, -0.0, 0.0, 0.25, 3.0, 1e-40]), min_size=size, max_size=size
        ),
        min_size=1,
        max_size=4,
    )
)


@given(SCORES, st.data())
def test_ranks_and_lists_equal_a_plain_sort(scores: list[list[float]], data: st.DataObject) -> None:
    size = len(scores[0])
    answers = [
        data.draw(st.lists(st.integers(-1, size - 1), min_size=3, max_size=3)) for _ in scores
    ]
    tensor = torch.tensor(scores)
    assert answer_ranks(tensor, torch.tensor(answers)).tolist() == [
        slow_rank(row, own) for row, own in zip(scores, answers, strict=True)
    ]
    k = data.draw(st.integers(1, size + 2))
    assert top(tensor, k).tolist() == [slow_ranking(row)[:k] for row in scores]


@given(st.lists(st.integers(0, 20), min_size=1), st.integers(1, 20), st.integers(0, 10))
def test_recall_never_falls_as_k_grows(ranks: list[int], k: int, more: int) -> None:
    tensor = torch.tensor(ranks)
    assert bool((recall_at(tensor, k) <= recall_at(tensor, k + more)).all())
    assert recall_at(tensor, 21).mean() == 1


@given(st.permutations(range(9)), st.integers(0, 8))
def test_without_ties_the_order_of_the_gallery_does_not_matter(
    order: list[int], answer: int
) -> None:
    scores = torch.tensor([[0.3, -0.7, 0.9, 0.1, -0.2, 0.8, 0.5, 0.0, -0.9]])
    moved = torch.tensor([[order.index(answer)]])
    before = answer_ranks(scores, torch.tensor([[answer]]))
    assert answer_ranks(scores[:, order], moved).equal(before)
    assert [order[place] for place in top(scores[:, order], 9)[0].tolist()] == slow_ranking(
        scores[0].tolist()
    )


@given(st.permutations(range(10)), st.sets(st.integers(0, 12), min_size=1), st.integers(1, 12))
def test_average_precision_equals_the_formula_and_is_bounded(
    ranking: list[int], right: set[int], k: int
) -> None:
    answers = sorted(right)
    value = average_precision_at(torch.tensor([ranking]), torch.tensor([answers]), k).item()
    assert value == pytest.approx(slow_average_precision(ranking, answers, k))
    assert 0 <= value <= 1
    ideal = [*answers, *(image for image in range(13) if image not in right)]
    best = average_precision_at(torch.tensor([ideal]), torch.tensor([answers]), k).item()
    assert best == pytest.approx(1)


@given(st.integers(0, 9), st.integers(1, 10))
def test_with_one_answer_average_precision_is_the_reciprocal_rank(rank: int, k: int) -> None:
    ranked = torch.from_numpy(np.roll(np.arange(10), rank))[None]
    value = average_precision_at(ranked, torch.tensor([[0]]), k).item()
    assert value == pytest.approx(1 / (rank + 1) if rank < k else 0)


@pytest.mark.slow
@pytest.mark.parametrize("queries", [1, 2, 13])
@pytest.mark.parametrize("images", [1, 15, 101, 4001])
def test_equal_images_tie_whatever_their_place_and_number(queries: int, images: int) -> None:
    last = torch.full((queries, 1), images - 1)
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        gallery = torch.randn(1, 256, generator=generator).expand(images, -1).contiguous()
        query = torch.randn(queries, 256, generator=generator)
        ((_, scores),) = score_chunks(query, gallery)
        assert scores.shape == (queries, images)
        assert answer_ranks(scores, torch.zeros_like(last)).unique().tolist() == [0]
        assert answer_ranks(scores, last).unique().tolist() == [images - 1]
