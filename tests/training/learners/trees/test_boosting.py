"""The learner of boosted trees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from tests.training.samples import clouds, collect, ignore, shuffled_labels, slope, typed
from training.artifact.torchscript import load, to_torchscript
from training.config.recipe import TrainingSettings
from training.learners.folds import folds_of
from training.learners.protocol import predictor
from training.learners.trees.boosting import TreesLearner

TREES = TrainingSettings(learner="trees", seed=3)


def test_rows_of_every_type_are_learnt_and_published() -> None:
    rows, others = typed(600), typed(600, seed=1)

    module = TreesLearner(TREES).fit(rows, None, ignore).module

    answers = load(to_torchscript(module, rows.x))(others.x)
    assert accuracy_score(others.y, answers.argmax(axis=1)) > 0.85  # gaps hide what tells the class
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)


def test_a_regression_answers_in_the_unit_of_the_target() -> None:
    rows, others = slope(500), slope(500, seed=1)

    fitted = TreesLearner(TREES).fit(rows, None, ignore)

    errors = predictor(fitted.module)(others.x)[:, 0] - others.y
    assert np.sqrt(np.mean(errors**2)) < 0.3 * others.y.std()


def test_twenty_six_classes_are_learnt() -> None:
    rows = clouds(520, classes=26)

    fitted = TreesLearner(TREES).fit(rows, None, ignore)

    assert accuracy_score(rows.y, predictor(fitted.module)(rows.x).argmax(axis=1)) > 0.95


def test_rare_classes_may_be_absent_from_a_fold() -> None:
    rows = clouds(61, classes=3)
    y = np.where(np.arange(61) == 60, 2, rows.y % 2)
    rows = replace(rows, y=y)

    fitted = TreesLearner(TREES).fit_folds(rows, [np.arange(50, 61), np.arange(50)], ignore)

    assert fitted.held_out is not None
    unseen = fitted.held_out.answers[60]
    assert 0 < unseen[2] < 0.1
    assert (predictor(fitted.module)(rows.x).argmax(axis=1)[:60] == y[:60]).mean() > 0.8


@pytest.mark.parametrize("only", [0, 1])
def test_a_fold_of_one_class_answers_that_class(only: int) -> None:
    rows = clouds(60)
    places = np.flatnonzero(rows.y == only)

    fitted = TreesLearner(TREES).fit_folds(rows, [np.setdiff1d(np.arange(60), places)], ignore)

    assert fitted.held_out is not None
    np.testing.assert_allclose(fitted.held_out.answers[:, only], 1 - 0.5 / 30.5, atol=1e-6)


def test_every_row_is_answered_by_the_model_that_has_not_seen_it() -> None:
    rows = shuffled_labels(typed(300))

    fitted = TreesLearner(TREES).fit_folds(rows, folds_of(rows, 0), ignore)

    assert fitted.held_out is not None
    assert np.array_equal(fitted.held_out.y, rows.y)
    assert log_loss(rows.y, fitted.held_out.answers) > log_loss(rows.y, predictor(fitted.module)(rows.x)) + 0.02


def test_validation_rows_stop_the_model() -> None:
    rows, validation = typed(300), typed(200, seed=1)

    events, fitted = collect(lambda report: TreesLearner(TREES).fit(rows, validation, report))

    assert fitted.held_out is None
    assert "1 model," in str(events[-1])
    others = shuffled_labels(validation)
    with_noise, _ = collect(lambda report: TreesLearner(TREES).fit(rows, others, report))
    assert with_noise[-1] != events[-1]


def test_the_same_seed_gives_the_same_bits() -> None:
    rows = typed(300)

    first, second = (TreesLearner(TREES).fit(rows, None, ignore).module.state_dict() for _ in range(2))

    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name].numpy(), second[name].numpy()) for name in first)
