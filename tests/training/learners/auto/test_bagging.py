"""Any learner as one model for each fold."""

from __future__ import annotations

import numpy as np

from tests.training.samples import clouds, ignore, settings, shuffled_labels
from training.learners.auto.bagging import Bagged
from training.learners.folds import folds_of
from training.learners.mlp.fit import MLPLearner
from training.learners.protocol import predictor


def test_each_row_is_answered_by_the_model_of_its_fold_and_the_module_is_their_mean() -> None:
    rows = shuffled_labels(clouds(60, features=5))
    learner, folds = MLPLearner(settings(epochs=5)), folds_of(rows, seed=0, folds=3)

    fitted = Bagged(learner).fit_folds(rows, folds, ignore)

    rests = [np.setdiff1d(np.arange(60), held_out) for held_out in folds]
    single = [predictor(learner.fit(rows.rows(rest), None, ignore).module) for rest in rests]
    assert fitted.held_out is not None
    for held_out, predict in zip(folds, single, strict=True):
        np.testing.assert_allclose(fitted.held_out.answers[held_out], predict(rows.x[held_out]), atol=1e-6)
    mean = sum(predict(rows.x) for predict in single) / 3
    np.testing.assert_allclose(predictor(fitted.module)(rows.x), mean, atol=1e-6)


def test_the_held_out_rows_stop_the_training_of_their_model() -> None:
    rows = shuffled_labels(clouds(60, features=5))
    learner = MLPLearner(settings(epochs=200, patience=2, validation_fraction=0.2))
    epochs: list[object] = []

    Bagged(learner).fit_folds(rows, folds_of(rows, seed=0), epochs.append)

    assert 5 * 3 <= len(epochs) < 5 * 200


def test_with_validation_rows_the_learner_is_fitted_once() -> None:
    rows, validation = clouds(60), clouds(20, seed=1)
    learner = MLPLearner(settings(epochs=5))

    once = Bagged(learner).fit(rows, validation, ignore)

    alone = learner.fit(rows, validation, ignore)
    assert np.array_equal(predictor(once.module)(rows.x), predictor(alone.module)(rows.x))
