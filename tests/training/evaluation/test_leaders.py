"""The leader board, with rivals whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from modelstore import LeaderBoard, Notice, RegressionBaseline
from modelstore.overrides import LearnerName
from tests.training.samples import clouds, ignore, slope
from training.evaluation.leaders import Rival, make_board
from training.evaluation.metrics import Floats
from training.learners.protocol import Event

ROWS = slope(400, noise=0)


def off(errors: Floats | float) -> Callable[[Any], Floats]:
    """Return answers that are wrong by these errors for `ROWS`; one row alone gets the first."""
    return lambda x: (ROWS.y[: len(x)] + np.broadcast_to(errors, len(ROWS))[: len(x)])[:, None]


def scatter(size: float, seed: int = 0) -> Floats:
    return size * np.random.default_rng(seed).normal(size=len(ROWS))


def board(*, learner: LearnerName = "mlp", linear: Floats | float = 9.0, **baselines: Floats | float) -> LeaderBoard:
    """Return the board of a model whose errors have the deviation 1."""
    rivals = [
        Rival("price", "model", off(scatter(1)), 2.0),
        Rival("linear", "member", off(linear), 0.25, weight=0.2),
        Rival("mean", "baseline", off(baselines.pop("mean", 20.0)), 0.0),
        *(Rival(name, "baseline", off(errors), 0.0) for name, errors in baselines.items()),
    ]
    return make_board(rivals, ROWS, learner, ignore)


def test_the_best_is_first_with_the_figures_of_the_same_rows() -> None:
    found = board(knn=scatter(3, seed=1))

    assert [leader.name for leader in found.leaders] == ["price", "knn", "linear", "mean"]
    assert [leader.role for leader in found.leaders] == ["model", "baseline", "member", "baseline"]
    linear = found.leaders[2]
    assert isinstance(linear.figures, RegressionBaseline)
    assert linear.figures.rmse == pytest.approx(9)
    assert linear.error == pytest.approx(0, abs=1e-6)
    assert (linear.weight, linear.train_s) == (0.2, 0.25)
    assert all(leader.row_us > 0 for leader in found.leaders)


def test_the_error_of_the_log_loss_is_that_of_a_mean_and_of_the_rmse_by_the_delta_method() -> None:
    rows = clouds(100)
    sure = np.where(np.arange(100) % 10 == 0, 0.6, 0.9)
    answers = np.where(np.eye(2)[rows.y] == 1, sure[:, None], 1 - sure[:, None])

    found = make_board([Rival("m", "model", lambda x: answers[: len(x)], 0), *_naive(rows.y)], rows, "mlp", ignore)

    losses = -np.log(sure)
    assert found.leaders[0].error == pytest.approx(losses.std(ddof=1) / 10)
    model = board().leaders[0]
    squares = scatter(1) ** 2
    assert model.error == pytest.approx(squares.std(ddof=1) / math.sqrt(400) / (2 * math.sqrt(squares.mean())))


def _naive(y: Any) -> list[Rival]:
    return [Rival("majority", "baseline", lambda x: np.full((len(x), 2), 0.5), 0)]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (board(mean=-scatter(1)), "mean, which ignores the columns, is as good within the error"),
        (board(linear=-scatter(1)), "a linear model is as good within the error"),
        (board(linear=-scatter(1), learner="linear"), "no simple model is as good: mean, the next, is worse"),
        (board(ridge=-scatter(1)), "a linear model is as good within the error"),
        (board(knn=-scatter(1)), "knn is as good within the error"),
        (board(knn=scatter(0.5)), "knn is better by more than the error (RMSE 0.49"),
        (board(ridge=scatter(0.5)), ": `learner: linear` gives one"),
        (board(knn=scatter(2)), "no simple model is as good: knn, the next, is worse (RMSE 1.9"),
    ],
)
def test_the_conclusion_says_what_the_board_means(found: LeaderBoard, said: str) -> None:
    assert said in found.conclusion


def test_a_rival_without_finite_answers_is_left_out_with_a_warning() -> None:
    events: list[Event] = []
    rivals = [
        Rival("price", "model", off(0.5), 0),
        Rival("knn", "baseline", off(math.nan), 0),
        Rival("mean", "baseline", off(9), 0),
    ]

    found = make_board(rivals, ROWS, "mlp", events.append)

    assert [leader.name for leader in found.leaders] == ["price", "mean"]
    (warning,) = events
    assert isinstance(warning, Notice)
    assert warning.message.startswith("knn is not on the leader board")


def test_a_single_test_row_has_no_error() -> None:
    found = make_board(
        [Rival("price", "model", off(1), 0), Rival("mean", "baseline", off(9), 0)], ROWS.rows(slice(1)), "mlp", ignore
    )

    assert [leader.error for leader in found.leaders] == [None, None]
