from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.samples import clouds, settings, slope
from training.errors import RecipeError
from training.learners.mlp.objectives import objective_for


def test_values_are_standardised_by_the_training_rows() -> None:
    train, other = slope(300), slope(50, seed=1)
    objective = objective_for(train, settings())

    fitted, held_out = objective.prepare(train).y, objective.prepare(other).y

    assert fitted.dtype == np.float32
    assert (fitted.mean(), fitted.std()) == pytest.approx((0, 1), abs=1e-5)
    np.testing.assert_allclose(held_out, (other.y - train.y.mean()) / train.y.std(), atol=1e-5)


def test_a_large_mean_costs_the_standardised_values_no_digits() -> None:
    train = replace(slope(300), y=1e9 + np.arange(300) / 100)

    fitted = objective_for(train, settings()).prepare(train).y

    np.testing.assert_allclose(np.diff(fitted), np.full(299, 0.01 / (train.y.std())), rtol=2e-2)


def test_class_indices_stay_as_they_are() -> None:
    train = clouds()

    assert objective_for(train, settings()).prepare(train) is train


def test_a_regression_has_no_classes_to_weigh() -> None:
    with pytest.raises(RecipeError, match="class_weights: expected 'none', as a regression has no classes"):
        objective_for(slope(), settings(class_weights="balanced"))
