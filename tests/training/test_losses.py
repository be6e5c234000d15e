from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from tmcir.training.losses import info_nce

# Three unit vectors in the plane and their cosines: (a, b) = 0.6, (a, c) = 0, (b, c) = 0.8.
A, B, C = [1.0, 0.0], [0.6, 0.8], [0.0, 1.0]


def softmax_loss(own: float, *others: float) -> float:
    return -math.log(math.exp(own) / sum(math.exp(value) for value in (own, *others)))


def test_one_way_is_equation_1() -> None:
    # Row 1: 2 * (1, 0.6), row 2: 2 * (0.8, 0).
    loss = info_nce(torch.tensor([A, C]), torch.tensor([A, B]), scale=2.0)
    expected = (softmax_loss(2.0, 1.2) + softmax_loss(1.6, 0.0)) / 2
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_symmetric_is_equation_4() -> None:
    loss = info_nce(torch.tensor([A, C]), torch.tensor([A, B]), scale=2.0, symmetric=True)
    there = (softmax_loss(2.0, 1.2) + softmax_loss(1.6, 0.0)) / 2
    back = (softmax_loss(2.0, 0.0) + softmax_loss(1.6, 1.2)) / 2
    assert loss.item() == pytest.approx((there + back) / 2, abs=1e-6)


def test_equal_groups_are_not_negatives() -> None:
    left, right = torch.tensor([A, C, B]), torch.tensor([A, B, A])
    loss = info_nce(left, right, scale=1.0, groups=torch.tensor([5, 8, 5]))
    # Rows 1 and 3 share a target: each sees only its own and row 2's.
    rows = softmax_loss(1.0, 0.6), softmax_loss(0.8, 0.0, 0.0), softmax_loss(0.6, 1.0)
    assert loss.item() == pytest.approx(sum(rows) / 3, abs=1e-6)


def test_a_hard_negative_counts_for_its_own_query_only() -> None:
    left, right = torch.tensor([A, C]), torch.tensor([A, B])
    loss = info_nce(left, right, scale=1.0, hard_negatives=torch.tensor([[B], [C]]))
    expected = (softmax_loss(1.0, 0.6, 0.6) + softmax_loss(0.8, 0.0, 1.0)) / 2
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_a_query_may_have_several_hard_negatives_or_fewer() -> None:
    left, right = torch.tensor([A, C]), torch.tensor([A, B])
    hard = torch.tensor([[B, C], [C, A]])
    loss = info_nce(left, right, 1.0, hard_negatives=hard)
    both = (softmax_loss(1.0, 0.6, 0.6, 0.0) + softmax_loss(0.8, 0.0, 1.0, 0.0)) / 2
    assert loss.item() == pytest.approx(both, abs=1e-6)
    mask = torch.tensor([[True, False], [True, True]])
    loss = info_nce(left, right, 1.0, hard_negatives=hard, hard_mask=mask)
    fewer = (softmax_loss(1.0, 0.6, 0.6) + softmax_loss(0.8, 0.0, 1.0, 0.0)) / 2
    assert loss.item() == pytest.approx(fewer, abs=1e-6)


@pytest.mark.slow
@given(st.integers(0, 1000), st.integers(2, 8))
def test_the_order_of_the_batch_does_not_matter(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    left, right = functional.normalize(torch.randn(2, count, 4, generator=generator), dim=-1)
    groups = torch.randint(0, 3, (count,), generator=generator)
    order = torch.randperm(count, generator=generator)
    hard = torch.stack([right.flip(1), -right], dim=1)
    loss = info_nce(left, right, 5.0, groups, symmetric=True, hard_negatives=hard)
    shuffled = info_nce(left[order], right[order], 5.0, groups[order], True, hard[order])
    torch.testing.assert_close(loss, shuffled)
    assert torch.isfinite(loss)


def test_a_batch_of_one_group_has_no_negatives_and_no_loss() -> None:
    rows = torch.tensor([A, B, C])
    assert info_nce(rows, rows, 10.0, groups=torch.ones(3, dtype=torch.long)).item() == 0.0
