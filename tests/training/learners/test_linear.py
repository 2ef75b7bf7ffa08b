"""The linear learner, beside scikit-learn's own cross-validated models."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

from tests.training.samples import clouds, ignore, shuffled_labels, slope, typed
from training.artifact.torchscript import load, to_torchscript
from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.data.holdout import Grouped, Latest
from training.learners.folds import folds_of
from training.learners.linear import PENALTIES, LinearLearner
from training.learners.protocol import predictor
from training.preprocessing.encoder import fit_encoder

LINEAR = TrainingSettings(learner="linear", seed=3)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_layer_answers_as_scikit_learns_logistic_regression_with_one_of_the_penalties(classes: int) -> None:
    rows = clouds(90, classes=classes)
    x = predictor(fit_encoder(rows))(rows.x).astype(np.float64)

    answers = predictor(LinearLearner(LINEAR).fit(rows, None, ignore).module)(rows.x)

    theirs = [LogisticRegression(C=1 / penalty, max_iter=200).fit(x, rows.y).predict_proba(x) for penalty in PENALTIES]
    assert min(float(np.abs(answers - other).max()) for other in theirs) < 1e-5


def test_a_regression_answers_as_scikit_learns_ridge_in_the_unit_of_the_target() -> None:
    rows = slope(90)
    x = predictor(fit_encoder(rows))(rows.x).astype(np.float64)

    answers = predictor(LinearLearner(LINEAR).fit(rows, None, ignore).module)(rows.x)[:, 0]

    theirs = [Ridge(alpha=penalty).fit(x, rows.y).predict(x) for penalty in PENALTIES]
    assert min(float(np.abs(answers - other).max()) for other in theirs) < 1e-4 * rows.y.std()


def test_rows_with_gaps_and_categories_are_learnt_and_published() -> None:
    rows = typed(200)

    module = LinearLearner(LINEAR).fit(rows, None, ignore).module

    np.testing.assert_allclose(load(to_torchscript(module, rows.x))(rows.x).sum(axis=1), 1, atol=1e-6)


def test_the_held_out_answers_are_by_models_that_have_not_seen_the_row() -> None:
    rows = shuffled_labels(clouds(60, features=20))
    fitted = LinearLearner(LINEAR).fit(rows, None, ignore)

    assert fitted.held_out is not None
    assert np.array_equal(fitted.held_out.y, rows.y)
    seen, unseen = (log_loss(rows.y, found) for found in (predictor(fitted.module)(rows.x), fitted.held_out.answers))
    assert seen < unseen


def test_the_same_seed_gives_the_same_bits() -> None:
    rows = clouds(60, classes=3)

    first, second = (LinearLearner(LINEAR).fit(rows, None, ignore).module.state_dict() for _ in range(2))

    assert all(np.array_equal(first[name].numpy(), second[name].numpy()) for name in first)


@pytest.mark.parametrize("rows", [clouds(90, classes=3), slope(90)], ids=["classes", "values"])
def test_validation_rows_choose_the_penalty_where_there_are_any(rows: Dataset) -> None:
    part, validation = rows.rows(np.arange(60)), rows.rows(np.arange(60, 90))

    fitted = LinearLearner(LINEAR).fit(part, validation, ignore)

    x, y = (predictor(fit_encoder(part))(each.x).astype(np.float64) for each in (part, validation))
    if rows.classes:
        models = [LogisticRegression(C=1 / penalty, max_iter=200).fit(x, part.y) for penalty in PENALTIES]
        theirs = min((model.predict_proba(y) for model in models), key=lambda found: log_loss(validation.y, found))
    else:
        models = [Ridge(alpha=penalty).fit(x, part.y) for penalty in PENALTIES]
        found = (model.predict(y)[:, None] for model in models)
        theirs = min(found, key=lambda values: float(((values[:, 0] - validation.y) ** 2).mean()))
    np.testing.assert_allclose(predictor(fitted.module)(validation.x), theirs, rtol=1e-4, atol=1e-5)
    assert fitted.held_out is None


def test_folds_that_are_given_choose_the_penalty_and_answer_every_row() -> None:
    rows = slope(60)

    fitted = LinearLearner(LINEAR).fit_folds(rows, folds_of(rows, seed=7, folds=3), ignore)

    assert fitted.held_out is not None
    assert np.abs(fitted.held_out.answers[:, 0] - rows.y).std() < 2


def test_in_time_the_latest_rows_choose_the_penalty_and_all_rows_are_fitted() -> None:
    rows = clouds(90)
    rows.x[:, 0] = np.random.default_rng(0).permutation(90)
    latest = np.flatnonzero(rows.x[:, 0] >= 77)

    fitted = LinearLearner(LINEAR, Latest("x0")).fit(rows, None, ignore)

    assert fitted.held_out is not None
    assert np.array_equal(fitted.held_out.y, rows.y[latest])
    x = predictor(fit_encoder(rows))(rows.x).astype(np.float64)
    theirs = [LogisticRegression(C=1 / penalty, max_iter=200).fit(x, rows.y).predict_proba(x) for penalty in PENALTIES]
    assert min(float(np.abs(predictor(fitted.module)(rows.x) - other).max()) for other in theirs) < 1e-5


def test_a_group_with_all_rows_of_a_class_is_answered_by_a_model_of_the_other() -> None:
    rows = clouds(60)
    rows.x[:, 1] = rows.y

    fitted = LinearLearner(LINEAR, Grouped("x1")).fit(Grouped("x1").mark(rows), None, ignore)

    assert fitted.held_out is not None
    assert fitted.held_out.answers.argmax(axis=1).tolist() == (1 - rows.y).tolist()


@pytest.mark.parametrize(("classes", "present"), [(2, [0]), (2, [1]), (3, [1]), (3, [0, 2]), (4, [0, 1, 3])], ids=str)
def test_a_class_without_training_rows_is_as_rare_as_half_a_row(classes: int, present: list[int]) -> None:
    rows, validation = clouds(120, classes=classes), clouds(40, classes=classes, seed=1)
    part = rows.rows(np.flatnonzero(np.isin(rows.y, present)))

    answers = predictor(LinearLearner(LINEAR).fit(part, validation, ignore).module)(validation.x)

    assert answers.shape == (40, classes)
    known = np.isin(validation.y, present)
    assert (answers.argmax(axis=1) == validation.y)[known].mean() > 0.9
    absent = np.setdiff1d(np.arange(classes), present)
    half_a_row = 0.5 / np.count_nonzero(part.y == present[0])
    np.testing.assert_allclose(
        answers[:, absent], half_a_row * answers[:, present[:1]].repeat(len(absent), 1), rtol=1e-3
    )


def test_folds_that_leave_one_class_answer_with_it() -> None:
    rows = clouds(40)
    first, second = (np.flatnonzero(rows.y == k) for k in (0, 1))

    held_out = LinearLearner(LINEAR).fit_folds(rows, [first, second], ignore).held_out

    assert held_out is not None
    assert held_out.answers.tolist() == [[rows.y[row], 1 - rows.y[row]] for row in range(40)]
