"""The learner of boosted trees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from modelstore import Notice
from modelstore.overrides import TreesSettings
from tests.training.samples import clouds, collect, ignore, shuffled_labels, slope, typed
from training.artifact.torchscript import load, to_torchscript
from training.config.learner_settings import TrainingSettings
from training.data.holdout import Grouped, Latest, Shuffled
from training.learners.folds import folds_of
from training.learners.protocol import predictor
from training.learners.trees import boosting, plan
from training.learners.trees.boosting import TreesLearner
from training.learners.trees.model import TreeModel
from training.learners.trees.plan import LEAST_ITERATIONS

TREES = TrainingSettings(learner="trees", seed=3)
ONE = TrainingSettings(learner="trees", seed=3, trees=TreesSettings(leaf_rows=2))


@pytest.mark.slow
def test_rows_of_every_type_are_learnt_and_published() -> None:
    rows, others = typed(400), typed(400, seed=1)

    module = TreesLearner(TREES).fit(rows, typed(200, seed=2), ignore).module

    answers = load(to_torchscript(module, rows.x))(others.x)
    assert accuracy_score(others.y, answers.argmax(axis=1)) > 0.85  # gaps hide what tells the class
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)


@pytest.mark.slow
def test_a_regression_answers_in_the_unit_of_the_target() -> None:
    rows, others = slope(300), slope(300, seed=1)

    fitted = TreesLearner(TREES).fit(rows, slope(100, seed=2), ignore)

    errors = predictor(fitted.module)(others.x)[:, 0] - others.y
    assert np.sqrt(np.mean(errors**2)) < 0.3 * others.y.std()


@pytest.mark.slow
@pytest.mark.parametrize("classes", [3, 9], ids=["averaged models", "one model of many classes"])
def test_all_trees_together_take_at_most_so_many_steps(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MOST_STEPS", 4_000)
    rows = clouds(180, classes=classes)

    fitted = TreesLearner(TREES).fit_folds(rows, folds_of(rows, 0, 2), ignore)

    assert isinstance(fitted.module, TreeModel)
    assert fitted.module.walker.trees * fitted.module.walker.depth <= 4_000
    assert accuracy_score(rows.y, predictor(fitted.module)(rows.x).argmax(axis=1)) > 0.95
    assert fitted.held_out is not None
    assert accuracy_score(rows.y, fitted.held_out.answers.argmax(axis=1)) > 0.8


@pytest.mark.slow
def test_a_class_may_be_absent_from_a_fold() -> None:
    rows = clouds(60)
    rows = replace(rows, y=np.where(np.arange(60) == 59, 2, rows.y), classes=("first", "second", "rare"))

    fitted = TreesLearner(TREES).fit_folds(rows, [np.arange(40, 60), np.arange(40)], ignore)

    assert fitted.held_out is not None
    assert 0 < fitted.held_out.answers[59, 2] < 0.1
    assert accuracy_score(rows.y[:40], fitted.held_out.answers[:40].argmax(axis=1)) > 0.9


@pytest.mark.parametrize("only", [0, 1])
def test_a_fold_of_one_class_answers_that_class(only: int) -> None:
    rows = clouds(60)

    fitted = TreesLearner(TREES).fit_folds(rows, [np.flatnonzero(rows.y != only)], ignore)

    assert fitted.held_out is not None
    np.testing.assert_allclose(fitted.held_out.answers[:, only], 1 - 0.5 / 30.5, atol=1e-6)


@pytest.mark.slow
def test_every_row_is_answered_by_the_model_that_has_not_seen_it() -> None:
    rows = shuffled_labels(typed(200))

    fitted = TreesLearner(TREES).fit_folds(rows, folds_of(rows, 0, 2), ignore)

    assert fitted.held_out is not None
    assert np.array_equal(fitted.held_out.y, rows.y)
    assert log_loss(rows.y, fitted.held_out.answers) > log_loss(rows.y, predictor(fitted.module)(rows.x)) + 0.02


@pytest.mark.slow
def test_validation_rows_stop_the_model() -> None:
    rows, validation = typed(200), typed(100, seed=1)

    events, fitted = collect(lambda report: TreesLearner(TREES).fit(rows, validation, report))
    noisy, _ = collect(lambda report: TreesLearner(TREES).fit(rows, shuffled_labels(validation), report))

    assert fitted.held_out is None
    assert "1 model," in str(events[-1])
    assert noisy[-1] != events[-1]


@pytest.mark.slow
def test_of_many_rows_a_tenth_stops_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "FOLD_ROWS", 150)
    rows = typed(200)

    fitted = TreesLearner(TREES).fit(rows, None, ignore)

    assert fitted.held_out is not None
    assert len(fitted.held_out.y) == 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_of_many_rows_in_few_groups_a_small_group_stops_the_model(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "FOLD_ROWS", 150)
    rows = replace(clouds(200), groups=np.repeat(np.array([7, 8, 9], dtype=np.uint64), (160, 22, 18)))

    fitted = TreesLearner(ONE.model_copy(update={"seed": seed}), Grouped("x0")).fit(rows, None, ignore)

    assert fitted.held_out is not None
    assert len(fitted.held_out.y) in (22, 18)


def test_the_same_seed_gives_the_same_bits() -> None:
    rows = typed(100)

    first, second = (TreesLearner(TREES).fit(rows, typed(50, seed=1), ignore).module.state_dict() for _ in range(2))

    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name].numpy(), second[name].numpy()) for name in first)


def test_the_budget_bounds_the_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LEAF_S", 1e-3)  # an iteration of 31 leaves takes 31 ms
    settings = TREES.model_copy(update={"budget_s": 1.0})

    module = TreesLearner(settings).fit(slope(300, noise=0), slope(100, noise=0), ignore).module

    assert isinstance(module, TreeModel)
    assert LEAST_ITERATIONS < module.walker.trees <= 32


def test_the_learning_rate_that_is_said_is_the_one_of_the_trees() -> None:
    """One too small for so few trees is raised."""
    small = TREES.model_copy(update={"trees": TreesSettings(lr=0.001, leaves=2, depth=8)})

    events, _ = collect(lambda report: TreesLearner(small).fit(slope(60), slope(60, seed=1), report))

    (notice,) = (event.message for event in events if isinstance(event, Notice))
    assert "learning rate 0.004, 2 leaves" in notice  # 5 / (10,000 steps / 8)


def test_in_time_the_latest_rows_stop_the_one_model() -> None:
    rows = clouds(60)
    rows.x[:, 1] = np.random.default_rng(0).permutation(60)
    latest = np.flatnonzero(rows.x[:, 1] >= 51)

    held_out = TreesLearner(ONE, Latest("x1")).fit(rows, None, ignore).held_out

    assert held_out is not None
    assert np.array_equal(held_out.y, rows.y[latest])
    (same,) = (TreesLearner(ONE).fit_folds(rows, [latest], ignore).held_out,)
    assert same is not None
    assert np.array_equal(held_out.answers, same.answers)


@pytest.mark.slow
def test_no_model_answers_rows_of_a_group_that_it_was_fitted_to() -> None:
    groups = np.arange(200) // 5
    rows = clouds(200)
    rows.x[:] = np.random.default_rng(0).normal(size=(40, 2))[groups]
    rows.y[:] = np.random.default_rng(1).integers(0, 2, 40)[groups]  # known to who knows the group

    apart, together = (
        TreesLearner(ONE, way).fit(data, None, ignore).held_out
        for way, data in ((Shuffled(), rows), (Grouped("x0"), Grouped("x0").mark(rows)))
    )

    assert apart is not None
    assert together is not None
    assert accuracy_score(rows.y, apart.answers.argmax(axis=1)) > 0.9
    assert accuracy_score(rows.y, together.answers.argmax(axis=1)) < 0.7
