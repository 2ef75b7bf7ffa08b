"""Metrics of regressions beside those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from modelstore import Target
from tests.training.samples import recipe, slope
from training.evaluation.regression import Regression, evaluate_errors

REGRESSION = Regression()


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_scikit_learns_however_the_rows_are_cut(seed: int) -> None:
    generator = np.random.default_rng(seed)
    y = generator.normal(100, 20, 101)
    answers = (y + generator.normal(0, 5, 101)).astype(np.float32)[:, None]

    pieces = [(answers[part], y[part]) for part in (slice(0, 1), slice(1, 60), slice(60, 101))]
    measured = REGRESSION.evaluate(pieces, (), "validation")

    assert (measured.split, measured.rows) == ("validation", 101)
    assert measured.rmse == pytest.approx(metrics.root_mean_squared_error(y, answers[:, 0]))
    assert measured.mae == pytest.approx(metrics.mean_absolute_error(y, answers[:, 0]))
    assert measured.r2 == pytest.approx(metrics.r2_score(y, answers[:, 0]))
    assert measured.median_absolute_error == pytest.approx(metrics.median_absolute_error(y, answers[:, 0]))


@pytest.mark.parametrize(("errors", "r2"), [([0.0, 0.0], 1.0), ([0.0, 1.0], 0.0), ([0.0], 1.0)], ids=str)
def test_r2_of_a_truth_that_does_not_vary_is_one_or_nought(errors: list[float], r2: float) -> None:
    assert evaluate_errors(np.array(errors), np.full(len(errors), 7.0), "test").r2 == r2


def test_the_mean_of_the_rows_has_the_training_loss_of_guessing() -> None:
    y = np.array([1.0, 2.0, 6.0])

    assert REGRESSION.training_loss(evaluate_errors(3.0 - y, y, "train")) == pytest.approx(1.0)


def test_predictions_name_line_truth_and_answer() -> None:
    test = slope(3)

    content = REGRESSION.predictions(lambda x: np.full((len(x), 1), 0.5, dtype=np.float32), test)

    header, *lines = content.decode().splitlines()
    assert header == "line,truth,predicted"
    assert lines == [f"{line},{truth!r},0.5" for line, truth in zip((2, 3, 4), test.y.tolist(), strict=True)]


@pytest.mark.slow
def test_pictures_are_predicted_values_and_residuals() -> None:
    test = slope(30)
    measured = evaluate_errors(np.zeros(30), test.y, "test")

    plots = REGRESSION.plots(
        lambda x: np.full((len(x), 1), 1000, np.float32), measured, test, Target(name="y", unit="g"), recipe()
    )

    assert sorted(plots) == ["predicted.png", "residuals.json", "residuals.png"]
    assert all(plots[name]().startswith(b"\x89PNG") for name in ("predicted.png", "residuals.png"))
