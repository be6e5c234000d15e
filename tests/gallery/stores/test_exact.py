from __future__ import annotations

import numpy as np
import pytest

from tmcir.gallery.stores.exact import nearest


def slow_nearest(
    matrix: np.ndarray, query: np.ndarray, k: int, allowed: list[int]
) -> list[tuple[int, float]]:
    scores = [
        (row, sum(float(a) * float(b) for a, b in zip(matrix[row], query, strict=True)))
        for row in allowed
    ]
    return sorted(scores, key=lambda pair: (-round(pair[1], 12), pair[0]))[:k]


@pytest.mark.parametrize("k", [1, 7, 50, 1000])
@pytest.mark.parametrize("filtered", [False, True])
def test_against_a_slow_search_with_many_ties(k: int, filtered: bool) -> None:
    random = np.random.default_rng(k)
    distinct = random.normal(size=(40, 33)).astype(np.float32)
    distinct /= np.linalg.norm(distinct, axis=1, keepdims=True)
    matrix = distinct[random.integers(0, 40, 203)]  # each vector about five times
    query = random.normal(size=33).astype(np.float32)
    rows = np.flatnonzero(random.random(203) < 0.3) if filtered else np.arange(203)
    found, scores = nearest(matrix, query, k, rows if filtered else None)
    expected = slow_nearest(matrix, query, k, rows.tolist())
    assert found.tolist() == [row for row, _ in expected]
    np.testing.assert_allclose(scores, [score for _, score in expected], atol=1e-12)


def test_equal_rows_score_exactly_the_same() -> None:
    vector = np.random.default_rng(0).normal(size=257).astype(np.float32)
    matrix = np.repeat(vector[None], 1001, 0)
    found, scores = nearest(matrix, vector, 1001)
    assert found.tolist() == list(range(1001))
    assert len(set(scores.tolist())) == 1


def test_nothing_to_find() -> None:
    matrix, query = np.ones((3, 2), np.float32), np.ones(2, np.float32)
    assert len(nearest(matrix[:0], query, 5)[0]) == 0
    assert len(nearest(matrix, query, 5, np.empty(0, np.intp))[0]) == 0
