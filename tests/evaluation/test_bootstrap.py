from __future__ import annotations

import math

import pytest
import torch

from tmcir.evaluation import bootstrap
from tmcir.evaluation.bootstrap import interval, resampled_means


def test_the_same_seed_gives_the_same_samples() -> None:
    values = torch.rand(50, 2, dtype=torch.float64)
    assert resampled_means(values, 20).equal(resampled_means(values, 20))
    assert not resampled_means(values, 20, seed=1).equal(resampled_means(values, 20))


def test_measures_of_one_call_share_their_samples() -> None:
    values = torch.rand(50, 1, dtype=torch.float64)
    means = resampled_means(torch.cat([values, 1 - values], dim=1), 100)
    # Whatever is drawn, the two means add up to one.
    torch.testing.assert_close(means.sum(dim=1), torch.ones(100, dtype=torch.float64))


def test_a_constant_has_an_interval_of_no_width() -> None:
    low, high = interval(resampled_means(torch.full((7, 1), 0.25), 200))
    assert (low.item(), high.item()) == (0.25, 0.25)


def test_the_interval_is_near_the_normal_one() -> None:
    # 400 queries, half of them found: the standard error of the mean is sqrt(0.25 / 400) = 0.025,
    # and 95% of a normal distribution lies within 1.96 of it: 0.451 to 0.549.
    values = torch.arange(400).remainder(2).double()[:, None]
    low, high = interval(resampled_means(values, 4000))
    assert low.item() == pytest.approx(0.5 - 1.96 * math.sqrt(0.25 / 400), abs=0.006)
    assert high.item() == pytest.approx(0.5 + 1.96 * math.sqrt(0.25 / 400), abs=0.006)


def test_chunks_that_do_not_divide_give_every_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_CELLS", 70)
    values = torch.arange(10, dtype=torch.float64)[:, None]
    means = resampled_means(values, 25)
    assert means.shape == (25, 1)
    # Means of ten whole numbers are whole numbers of tenths between the minimum and the maximum.
    torch.testing.assert_close((means * 10).round(), means * 10)
    assert 0 <= means.min() < means.max() <= 9
    monkeypatch.setattr(bootstrap, "_CELLS", 1)
    assert resampled_means(values, 25).shape == (25, 1)
