"""Greedy weights, held to sums that can be done by hand: answers are values, the truth is 0, the loss the square."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.metrics import Floats
from training.learners.auto.weights import choose_weights, mix


def squares(answers: Floats) -> Floats:
    losses: Floats = (answers**2).sum(axis=1)
    return losses


def constant(*values: float) -> list[Floats]:
    """Return members that answer the same for each of 10 rows."""
    return [np.full((10, 1), value) for value in values]


@pytest.mark.parametrize(
    ("answers", "weights"),
    [
        ((1.0, -3.0), (0.75, 0.25)),  # 1, 1, 1, -3: the first round whose mean is 0
        ((1.0, -1.0), (0.5, 0.5)),
        ((4.0, -2.0, 1.0), (0.0, 1 / 3, 2 / 3)),  # the selection begins with the third
        ((0.0, 5.0), (1.0, 0.0)),
        ((2.0, 2.0), (1.0, 0.0)),  # of equals, the earlier
    ],
)
def test_weights_are_those_of_the_best_mean(answers: tuple[float, ...], weights: tuple[float, ...]) -> None:
    found = choose_weights(constant(*answers), squares)

    assert found == pytest.approx(weights)


def test_a_blend_has_at_most_three_members() -> None:
    answers = [np.full((4, 4), -1 / 4) + np.eye(4)[member] for member in range(4)]  # all four would be right

    found = choose_weights([answer.reshape(-1, 1) for answer in answers], squares)

    assert found == pytest.approx((1 / 3, 1 / 3, 1 / 3, 0))


def test_a_single_member_is_taken_if_the_blend_is_better_by_less_than_one_standard_error() -> None:
    draw = np.random.default_rng(0)
    first, second = (draw.normal(size=(400, 1)) for _ in range(2))
    close = first + 0.01 * draw.normal(size=(400, 1))

    assert sum(weight > 0 for weight in choose_weights([first, second], squares)) == 2
    assert choose_weights([first, close], squares) in ((1.0, 0.0), (0.0, 1.0))


def test_the_mix_is_the_weighted_mean() -> None:
    assert mix(constant(1, -3), (0.75, 0.25)) == pytest.approx(np.zeros((10, 1)))
