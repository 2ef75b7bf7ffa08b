"""The learner of extra-randomised trees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from tests.training.samples import clouds, ignore, shuffled_labels, slope, typed
from training.artifact.torchscript import load, to_torchscript
from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.learners.folds import folds_of
from training.learners.protocol import predictor
from training.learners.trees import extra
from training.learners.trees.extra import LEAST_TREES, TREES, ExtraTreesLearner
from training.learners.trees.model import TreeModel

SETTINGS = TrainingSettings(learner="trees", seed=3)


def test_rows_of_every_type_are_learnt_and_published() -> None:
    rows, others = typed(400), typed(400, seed=1)

    module = ExtraTreesLearner(SETTINGS).fit(rows, others, ignore).module

    answers = load(to_torchscript(module, rows.x))(others.x)
    assert accuracy_score(others.y, answers.argmax(axis=1)) > 0.8
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)


def test_a_regression_answers_in_the_unit_of_the_target() -> None:
    rows, others = slope(400), slope(400, seed=1)

    module = ExtraTreesLearner(SETTINGS).fit(rows, others, ignore).module

    errors = predictor(module)(others.x)[:, 0] - others.y
    assert np.sqrt(np.mean(errors**2)) < 0.5 * others.y.std()


@pytest.mark.slow
def test_every_row_is_answered_by_a_forest_that_has_not_seen_it() -> None:
    rows = shuffled_labels(typed(200))

    fitted = ExtraTreesLearner(SETTINGS).fit_folds(rows, folds_of(rows, 0, 2), ignore)

    assert fitted.held_out is not None
    assert np.array_equal(fitted.held_out.y, rows.y)
    assert log_loss(rows.y, fitted.held_out.answers) > log_loss(rows.y, predictor(fitted.module)(rows.x)) + 0.02


@pytest.mark.slow
def test_a_class_may_be_absent_from_a_fold() -> None:
    rows = clouds(60, classes=3)
    rows = replace(rows, y=np.where(np.arange(60) == 59, 2, np.arange(60) % 2))

    fitted = ExtraTreesLearner(SETTINGS).fit_folds(rows, [np.arange(30), np.arange(30, 60)], ignore)

    assert fitted.held_out is not None
    assert 0 < fitted.held_out.answers[59, 2] < 0.001


@pytest.mark.parametrize("rows", [typed(200), slope(200)], ids=["classes", "values"])
def test_the_same_seed_gives_the_same_bits(rows: Dataset) -> None:
    first, second = (ExtraTreesLearner(SETTINGS).fit(rows, rows, ignore).module.state_dict() for _ in range(2))

    assert all(np.array_equal(first[name].numpy(), second[name].numpy()) for name in first)


@pytest.mark.parametrize(
    ("tested_s", "trees"), [pytest.param(1e-7, TREES, marks=pytest.mark.slow), (5e-5, 33), (1.0, LEAST_TREES)]
)
def test_the_budget_bounds_the_trees(tested_s: float, trees: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "TESTED_S", tested_s)  # 100 rows, 2 columns, a setting for 5 folds and all rows

    module = ExtraTreesLearner(SETTINGS.model_copy(update={"budget_s": 1.0})).fit(slope(100), None, ignore).module

    assert isinstance(module, TreeModel)
    assert module.walker.trees == trees
