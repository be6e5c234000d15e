from __future__ import annotations

import pytest

from tmcir.runs.schedule import learning_rate_multiplier


def test_the_multiplier_warms_up_and_falls_to_zero() -> None:
    rates = [learning_rate_multiplier(step, total=100, warmup=0.1) for step in range(100)]
    assert rates[:10] == sorted(rates[:10]) and rates[0] > 0
    assert rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.5)  # halfway between step 10 and step 100
    assert rates[99] < 0.001
