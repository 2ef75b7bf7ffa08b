"""Rates of a RealMLP's training, at points computed by hand from the paper's formulas."""

from __future__ import annotations

import pytest

from training.learners.realmlp.schedule import coslog4, flat_cos


@pytest.mark.parametrize("t", [0, 1 / 15, 3 / 15, 7 / 15, 1])
def test_the_learning_rate_is_0_between_its_four_cycles(t: float) -> None:
    assert coslog4(t) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("cycle", range(4))
def test_the_learning_rate_is_full_within_each_cycle(cycle: int) -> None:
    assert coslog4((2 ** (cycle + 0.5) - 1) / 15) == pytest.approx(1)


@pytest.mark.parametrize(("t", "factor"), [(0, 1), (0.5, 1), (0.75, 0.5), (1, 0)])
def test_dropout_and_decay_are_full_for_the_first_half_and_then_fall_along_a_cosine(t: float, factor: float) -> None:
    assert flat_cos(t) == pytest.approx(factor)
