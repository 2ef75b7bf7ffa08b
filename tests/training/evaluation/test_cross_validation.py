from __future__ import annotations

import numpy as np
import pytest

from tests.training.samples import clouds, recipe, settings, shuffled_labels, slope
from training.errors import DatasetError
from training.evaluation.cross_validation import cross_validate, predict_unseen
from training.evaluation.scores import summarise

METHODS = ["CloudNet", "knn", "logistic_regression", "gradient_boosting", "majority", "mlp_classifier"]


def test_every_method_is_measured_on_every_fold() -> None:
    scores = list(cross_validate(recipe(), clouds(60), fold_seed=0, folds=3))

    assert [(score.fold, score.method) for score in scores] == [
        (fold, method) for fold in (1, 2, 3) for method in METHODS
    ]


def test_the_same_fold_seed_gives_the_same_scores() -> None:
    noisy = shuffled_labels(clouds(40))
    first, again, other = (list(cross_validate(recipe(epochs=3), noisy, seed, folds=2)) for seed in (1, 1, 2))

    assert first == again != other


def test_a_network_that_learns_beats_the_majority() -> None:
    summary = {score.method: score for score in summarise(cross_validate(recipe(), clouds(60), 0, folds=3))}

    assert summary["CloudNet"].figures["log loss"].mean < 0.2 < summary["majority"].figures["log loss"].mean


def test_early_stopping_takes_its_validation_rows_from_the_fold() -> None:
    early = settings(validation_fraction=0.2, patience=3, epochs=200)

    probabilities = predict_unseen(early, clouds(60), clouds(20, seed=1))

    assert probabilities.shape == (20, 2)
    assert np.mean(probabilities.argmax(axis=1) == clouds(20, seed=1).y) > 0.9


def test_fewer_rows_of_a_class_than_folds_are_refused() -> None:
    with pytest.raises(DatasetError, match="at least 10 training rows of each class for 10 folds"):
        list(cross_validate(recipe(), clouds(18), fold_seed=0))


def test_a_regression_is_cross_validated_beside_its_own_baselines() -> None:
    summary = {score.method: score for score in summarise(cross_validate(recipe(epochs=60), slope(120), 0, folds=3))}

    assert list(summary) == ["CloudNet", "knn", "ridge", "gradient_boosting", "mean", "mlp_regressor"]
    assert set(summary["ridge"].figures) == {"R2", "RMSE"}
    assert summary["CloudNet"].figures["RMSE"].mean < 0.5 * summary["mean"].figures["RMSE"].mean


def test_fewer_rows_of_a_regression_than_folds_are_refused() -> None:
    with pytest.raises(DatasetError, match="at least 10 training rows for 10 folds"):
        list(cross_validate(recipe(), slope(9), fold_seed=0))
