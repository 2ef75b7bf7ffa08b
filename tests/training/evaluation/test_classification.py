from __future__ import annotations

import numpy as np
import pytest

from modelstore import Target
from tests.training.samples import clouds, recipe
from training.evaluation.classification import Classification
from training.evaluation.metrics import evaluate, log_loss

CLASSIFICATION = Classification()
ALWAYS = {"confusion.png", "reliability.json", "reliability.png", "abstaining.png", "thresholds.png"}


def hesitant(x: np.ndarray) -> np.ndarray:
    """Answer 3 to 1 for the second cloud where the first feature is above 2."""
    likely = np.where(x[:, :1] > 2, 0.75, 0.25)
    return np.hstack([1 - likely, likely]).astype(np.float32)


def test_its_figures_are_those_of_the_probabilities() -> None:
    rows = clouds(80)
    answers = hesitant(rows.x)

    measured = CLASSIFICATION.evaluate([(answers, rows.y)], rows.classes, "test")

    assert measured == evaluate(answers, rows.y, rows.classes, "test")
    assert CLASSIFICATION.training_loss(measured) == pytest.approx(log_loss(answers, rows.y))
    assert CLASSIFICATION.row_losses(answers, rows.y).mean() == pytest.approx(log_loss(answers, rows.y))
    assert CLASSIFICATION.probe(answers, rows.y) == measured.accuracy
    assert CLASSIFICATION.score(measured).accuracy == measured.accuracy


@pytest.mark.parametrize(("features", "pictures"), [(2, {"boundary.png", *ALWAYS}), (3, ALWAYS)])
def test_the_boundary_is_drawn_for_two_numbers(features: int, pictures: set[str]) -> None:
    rows = clouds(20, features=features)
    measured = evaluate(hesitant(rows.x), rows.y, rows.classes, "test")

    plots = CLASSIFICATION.plots(hesitant, measured, rows, Target(name="cloud"), recipe())

    assert set(plots) == pictures


def test_predictions_name_line_truth_and_the_predicted_classs_probability() -> None:
    rows = clouds(3, spread=0.1)

    content = CLASSIFICATION.predictions(hesitant, rows).decode()

    assert content.splitlines()[1:] == ["2,cloud 0,cloud 0,0.75", "3,cloud 1,cloud 1,0.75", "4,cloud 0,cloud 0,0.75"]
