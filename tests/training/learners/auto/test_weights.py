"""Greedy weights against sums done by hand: the truth is 0, the loss the square."""

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


@pytest.mark.parametrize(("spread", "weights"), [(0.05, (1.0, 0.0)), (0.5, (0.0, 1.0))], ids=["chance", "beyond it"])
def test_the_first_member_answers_alone_unless_what_is_better_is_so_beyond_chance(
    spread: float, weights: tuple[float, float]
) -> None:
    first, second = 1 + spread * np.resize([1.0, -1.0], (400, 1)), np.ones((400, 1))  # losses 1 + spread^2 and 1

    assert choose_weights([first, second], squares) == weights


def test_the_mix_is_the_weighted_mean() -> None:
    assert mix(constant(1, -3), (0.75, 0.25)) == pytest.approx(np.zeros((10, 1)))


def test_a_single_row_says_nothing_for_a_blend() -> None:
    assert choose_weights([np.full((1, 1), 1.0), np.full((1, 1), -1.0)], squares) == (1.0, 0.0)


def test_rows_of_a_group_are_no_more_certain_than_one_of_them() -> None:
    draw = np.random.default_rng(7)
    answers = [draw.normal(size=(12, 1)) for _ in range(2)]
    repeated = [np.repeat(answer, 100, axis=0) for answer in answers]
    groups = np.repeat(np.arange(12, dtype=np.uint64), 100)

    one = choose_weights(answers, squares)
    alike = choose_weights(repeated, squares, groups)
    leaked = choose_weights(repeated, squares)

    assert one == (1.0, 0.0)
    assert alike == one
    assert min(leaked) > 0
