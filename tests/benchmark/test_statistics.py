"""What is said of means and differences: by hand, and within its own noise."""

from __future__ import annotations

import math

import pytest
import torch

from tmcir.benchmark.statistics import compare, mean_over_seeds
from tmcir.evaluation import bootstrap
from tmcir.evaluation.bootstrap import resampled_differences


def test_a_mean_over_seeds_by_hand() -> None:
    # 1, 2, 3: mean 2, deviation 1; Student's t with 2 degrees of freedom is 4.3027 at 97.5%.
    found = mean_over_seeds([1.0, 2.0, 3.0])
    half = 4.30265 / math.sqrt(3)
    assert (found.value, found.low, found.high) == pytest.approx((2, 2 - half, 2 + half), abs=1e-4)
    assert found.values == (1.0, 2.0, 3.0)


def test_of_one_seed_nothing_follows_for_others() -> None:
    found = mean_over_seeds([1.5])
    assert (found.value, found.low, found.high) == (1.5, None, None)


def drawn(mean: float, seeds: int = 3, queries: int = 400) -> torch.Tensor:
    noise = torch.randn(seeds, queries, generator=torch.Generator().manual_seed(0))
    return (noise - noise.mean() + mean).double()


def test_the_same_twice_is_within_noise() -> None:
    found = compare([torch.zeros(3, 50, dtype=torch.float64)])
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert found.verdict == "within noise"


@pytest.mark.parametrize(
    ("mean", "verdict"),
    [(0.5, "better"), (-0.5, "worse"), (0.02, "within noise"), (-0.02, "within noise")],
)
def test_a_known_difference_gets_its_verdict(mean: float, verdict: str) -> None:
    found = compare([drawn(mean)])
    assert found.verdict == verdict
    assert found.difference == pytest.approx(100 * mean, abs=1e-3)
    assert found.low < found.difference < found.high


def test_seeds_that_disagree_are_noise_however_many_queries_there_are() -> None:
    # Each seed is sure of itself, and they contradict each other.
    seeds = torch.tensor([[0.30], [0.25], [-0.20]], dtype=torch.float64).expand(3, 5000)
    assert compare([seeds]).verdict == "within noise"


def test_one_seed_gets_no_verdict() -> None:
    found = compare([drawn(0.5, seeds=1)])
    assert found.verdict is None and found.low < found.difference < found.high


def test_clusters_are_drawn_whole() -> None:
    # Two clusters, one all 1 and one all 0, of 3 and 1 queries: a sample has either or both.
    values = torch.tensor([[1.0, 1.0, 1.0, 0.0]] * 2, dtype=torch.float64)
    clusters = [torch.tensor([7, 7, 7, 2])]
    samples = resampled_differences([values], clusters, resamples=500)
    assert set(samples.tolist()) == {0.0, 0.75, 1.0}
    assert (samples == 0.75).double().mean().item() == pytest.approx(0.5, abs=0.07)


def test_queries_that_are_clusters_of_their_own_change_nothing() -> None:
    values = drawn(0.1, seeds=2, queries=30)
    own = resampled_differences([values], [torch.arange(30)], resamples=50)
    assert own.equal(resampled_differences([values], resamples=50))


def test_clusters_of_ten_equal_queries_are_ten_times_as_uncertain() -> None:
    # Equal queries say nothing new: the variance is that of a tenth of them.
    once = drawn(0.0, seeds=1, queries=200)
    ten = once.repeat_interleave(10, dim=1)
    clusters = [torch.arange(200).repeat_interleave(10)]
    clustered = resampled_differences([ten], clusters, resamples=4000).var().item()
    plain = resampled_differences([ten], resamples=4000).var().item()
    assert clustered / plain == pytest.approx(10, rel=0.15)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_seeds_bring_the_variance_of_their_mean(seeds: int) -> None:
    # Every query alike: all variance is that of the seeds, and the unbiased one is s^2 / S.
    values = torch.arange(seeds, dtype=torch.float64)
    samples = resampled_differences([values[:, None].expand(seeds, 10)], resamples=20_000)
    assert samples.var().item() == pytest.approx(values.var().item() / seeds, rel=0.05)


def test_tasks_count_alike_and_share_their_seeds() -> None:
    # One task is the other's negative: whatever seeds are drawn, the mean is zero.
    values = torch.arange(3, dtype=torch.float64)
    tasks = [values[:, None].expand(3, 4), -values[:, None].expand(3, 9)]
    samples = resampled_differences(tasks, resamples=50)
    torch.testing.assert_close(samples, torch.zeros_like(samples))


def test_chunks_do_not_change_the_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.arange(3, dtype=torch.float64)[:, None].expand(3, 7)
    whole = resampled_differences([values], resamples=20)
    monkeypatch.setattr(bootstrap, "_CELLS", 20)
    torch.testing.assert_close(resampled_differences([values], resamples=20), whole)


def test_against_a_slow_version() -> None:
    # The mean over many samples of the fast version is that of a plain double loop.
    differences = drawn(0.1, seeds=2, queries=30)
    generator = torch.Generator().manual_seed(1)
    slow = []
    for _ in range(3000):
        seed = int(torch.randint(2, (1,), generator=generator))
        queries = torch.randint(30, (30,), generator=generator)
        slow.append(sum(differences[seed, int(query)].item() for query in queries) / 30)
    fast = resampled_differences([differences], resamples=3000)
    plain = torch.tensor(slow, dtype=torch.float64)
    assert fast.mean().item() == pytest.approx(plain.mean().item(), abs=0.02)
    assert fast.std().item() == pytest.approx(plain.std().item(), rel=0.06)
