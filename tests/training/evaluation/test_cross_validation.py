from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from modelstore import Notice, Target
from tests.training.samples import clouds, collect, ignore, recipe, settings, shuffled_labels, slope
from training.config.recipe import Recipe, parse_recipe
from training.data.dataset import Dataset
from training.data.holdout import Grouped, HoldOut, Latest, Shuffled
from training.data.splits import Splits
from training.errors import DatasetError
from training.evaluation.cross_validation import cross_validate, folds_for, predict_unseen
from training.evaluation.scores import FoldScore, MethodScore, summarise

METHODS = ["mlp", "knn", "logistic_regression", "gradient_boosting", "majority", "mlp_classifier"]


def splits_of(train: Dataset, way: HoldOut | None = None) -> Splits:
    train = way.mark(train) if isinstance(way, Grouped) else train
    return Splits(train, train, {}, (), Target(name="y"), way=way or Shuffled())


def validated(recipe: Recipe, train: Dataset, folds: int, seed: int = 0) -> list[FoldScore]:
    splits = splits_of(train)
    return list(cross_validate(recipe, splits, folds_for(recipe, splits, seed, folds), ignore))


def summary(recipe: Recipe, train: Dataset) -> dict[str, MethodScore]:
    return {score.method: score for score in summarise(validated(recipe, train, 3))}


@pytest.mark.slow
def test_every_method_is_measured_on_every_fold_and_the_learner_gives_its_name() -> None:
    splits = splits_of(clouds(60))

    events, scores = collect(
        lambda report: list(cross_validate(recipe(), splits, folds_for(recipe(), splits, 0, 3), report))
    )

    assert [(score.fold, score.method) for score in scores] == [
        (fold, method) for fold in (1, 2, 3) for method in METHODS
    ]
    assert getattr(events[0], "message", "") == "fold 1 of 3: mlp"


@pytest.mark.slow
def test_the_same_fold_seed_gives_the_same_scores() -> None:
    noisy = shuffled_labels(clouds(40))
    first, again, other = (validated(recipe(epochs=3), noisy, 2, seed) for seed in (1, 1, 2))

    assert first == again != other


@pytest.mark.slow
def test_a_network_that_learns_beats_the_majority() -> None:
    found = summary(recipe(), clouds(60))

    assert found["mlp"].figures["log loss"].mean < 0.2 < found["majority"].figures["log loss"].mean


def test_early_stopping_takes_its_validation_rows_from_the_fold() -> None:
    early = settings(validation_fraction=0.2, patience=3, epochs=200)

    probabilities = predict_unseen(early, clouds(60), clouds(20, seed=1))

    assert probabilities.shape == (20, 2)
    assert np.mean(probabilities.argmax(axis=1) == clouds(20, seed=1).y) > 0.9


def test_a_class_with_fewer_rows_than_folds_is_in_some_of_them() -> None:
    rare = clouds(63).rows(np.r_[0:60:2, 1:9:2])  # 30 and 4 rows

    folds = folds_for(recipe(), splits_of(rare), 0)

    assert len(folds) == 10
    assert sorted(np.concatenate([held for _, held in folds]).tolist()) == list(range(34))
    assert sum(bool(rare.y[held].any()) for _, held in folds) == 4


def test_learners_that_train_for_their_budget_have_five_folds() -> None:
    assert len(folds_for(recipe(learner="auto", hidden=(64, 32), epochs=100, lr=0.003), splits_of(clouds(60)), 0)) == 5


def test_rows_of_a_group_are_in_one_fold() -> None:
    rows = clouds(60)
    rows.x[:, 0] = np.arange(60) // 6

    folds = folds_for(recipe(), splits_of(rows, Grouped("x0")), 0, 5)

    groups = [set(rows.x[held, 0].tolist()) for _, held in folds]
    assert len(groups) == 5
    assert sum(map(len, groups)) == len(set.union(*groups)) == 10


def test_folds_in_time_are_fitted_to_all_earlier_rows() -> None:
    rows = clouds(66)
    rows.x[:, 0] = np.random.default_rng(0).permutation(66) // 2  # two rows of each time
    rows.x[7, 0] = np.nan

    folds = folds_for(recipe(), splits_of(rows, Latest("x0")), 0, 5)

    assert len(folds) == 5
    for rest, held in folds:
        assert np.nanmax(rows.x[rest, 0]) < rows.x[held, 0].min()
        assert 7 in rest
    assert [len(rest) + len(held) for rest, held in folds][:-1] == [len(rest) for rest, _ in folds][1:]
    assert len(folds[-1][0]) + len(folds[-1][1]) == 66


@pytest.mark.parametrize(("way", "what"), [(Grouped("x0"), "groups"), (Latest("x0"), "times")])
def test_too_few_groups_or_times_are_refused(way: HoldOut, what: str) -> None:
    rows = clouds(20)
    same = dataclasses.replace(rows, x=np.ones_like(rows.x))

    with pytest.raises(DatasetError, match=f"expected training rows of more {what} for at least two folds"):
        folds_for(recipe(), splits_of(same, way), 0)


@pytest.mark.slow
def test_a_baseline_that_a_fold_of_one_class_does_not_suffice_for_is_left_out_with_a_warning() -> None:
    rows = clouds(60)
    folds = [(np.arange(0, 60, 2), np.arange(1, 60, 2)), (np.arange(0, 40), np.arange(40, 60))]
    assert len(np.unique(rows.y[folds[0][0]])) == 1
    linear = parse_recipe({**recipe().model_dump(mode="json"), "training": {"learner": "linear"}}, "clouds.toml")

    events, scores = collect(lambda report: list(cross_validate(linear, splits_of(rows), folds, report)))

    assert [score.method for score in summarise(scores)] == ["linear", "knn", "majority"]
    warnings = [event.message for event in events if isinstance(event, Notice) and event.level == "warning"]
    assert [warning.partition(" is left out: ")[0] for warning in warnings] == [
        f"fold 1 of 2: {name}" for name in ("logistic_regression", "gradient_boosting", "mlp_classifier")
    ]


@pytest.mark.slow
def test_a_regression_is_cross_validated_beside_its_own_baselines() -> None:
    found = summary(recipe(epochs=60), slope(120))

    assert list(found) == ["mlp", "knn", "ridge", "gradient_boosting", "mean", "mlp_regressor"]
    assert set(found["ridge"].figures) == {"R2", "RMSE"}
    assert found["mlp"].figures["RMSE"].mean < 0.5 * found["mean"].figures["RMSE"].mean
