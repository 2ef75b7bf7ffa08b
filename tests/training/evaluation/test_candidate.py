from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from modelstore import Baseline, EpochMetrics, Notice, Target
from tests.training.samples import classified, clouds, collect, ignore, recipe, shuffled_labels, slope, splits, valued
from training.config.recipe import GateRule, parse_recipe
from training.data.dataset import Dataset
from training.data.splits import Splits
from training.errors import DatasetError
from training.evaluation.leaders import MAX_ROWS
from training.pipeline import train_candidate


def test_a_candidate_is_measured_on_every_split_and_beside_baselines() -> None:
    candidate = train_candidate(recipe(validation_fraction=0.2), splits(clouds(100), clouds(40, seed=1)), ignore)

    assert {name: metrics.rows for name, metrics in candidate.metrics.items()} == {
        "train": 80,
        "validation": 20,
        "test": 40,
    }
    assert classified(candidate.metrics["test"]).accuracy > 0.95
    assert set(candidate.baselines) == {"knn", "logistic_regression", "gradient_boosting", "majority"}
    assert {leader.name for leader in candidate.leaders.leaders} == {"clouds", *candidate.baselines}


@pytest.mark.slow
def test_test_rows_that_lie_elsewhere_change_nothing_of_what_was_learnt() -> None:
    test = clouds(40, seed=1)
    shifted = replace(test, x=test.x + 1e6)
    learnt = [train_candidate(recipe(), splits(clouds(100), rows), ignore) for rows in (test, shifted)]

    states = [candidate.module.state_dict() for candidate in learnt]
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.slow
def test_the_members_of_a_model_stand_on_its_leader_board() -> None:
    training = {"learner": "auto", "budget_s": 2}
    auto = parse_recipe({**recipe().model_dump(mode="json"), "training": training}, "clouds.toml")

    candidate = train_candidate(auto, splits(clouds(100), clouds(40, seed=1)), ignore)

    members = {leader.name: leader.weight for leader in candidate.leaders.leaders if leader.role == "member"}
    assert "linear" in members
    assert sum(weight or 0 for weight in members.values()) == pytest.approx(1)


@pytest.mark.slow
def test_a_baseline_that_cannot_be_fitted_costs_no_training() -> None:
    rows = clouds(12_000, features=1)
    train, test = (replace(part, y=(part.lines == 9).astype(np.int64)) for part in (rows, rows.rows(slice(200))))
    linear = parse_recipe({**recipe().model_dump(mode="json"), "training": {"learner": "linear"}}, "clouds.toml")

    events, candidate = collect(lambda report: train_candidate(linear, splits(train, test), report))

    assert set(candidate.baselines) == {"knn", "logistic_regression", "majority"}
    assert any("gradient_boosting is not on the leader board" in str(event) for event in events)


@pytest.mark.slow
def test_of_many_test_rows_the_majority_is_measured_on_all_and_the_board_on_some() -> None:
    test = clouds(MAX_ROWS + 1000, spread=0.1)
    test.y[::2] = 1  # all of the second cloud's class

    candidate = train_candidate(recipe(), splits(clouds(60), test), ignore)

    assert candidate.leaders.rows == MAX_ROWS
    assert isinstance(candidate.baselines["majority"], Baseline)
    assert candidate.baselines["majority"].accuracy == 0  # of two equal classes it says the first


def test_a_test_row_that_overflows_the_network_is_named() -> None:
    train, test = clouds(100), clouds(40, seed=1)
    train.x[:] = train.x * 1e-3
    test.x[6] = 3e38

    with pytest.raises(DatasetError, match="test split, line 8: values so far outside the training range"):
        train_candidate(recipe(), splits(train, test), ignore)


def test_the_test_accuracy_is_reported_every_so_many_epochs() -> None:
    reporting = recipe(epochs=7).model_copy(update={"report_every": 3})

    events, candidate = collect(
        lambda report: train_candidate(reporting, splits(clouds(100), clouds(40, seed=1)), report)
    )

    assert tuple(event for event in events if isinstance(event, EpochMetrics)) == candidate.history
    assert [metrics.epoch for metrics in candidate.history if metrics.test_accuracy is not None] == [3, 6]


def test_findings_come_as_warnings() -> None:
    noise = shuffled_labels(clouds(60))
    overfitting = recipe(hidden=(128,), epochs=200, lr=0.05, validation_fraction=0.3)

    events, _ = collect(lambda report: train_candidate(overfitting, splits(noise, noise), report))

    warnings = [event.message for event in events if isinstance(event, Notice) and event.level == "warning"]
    assert any(message.startswith("overfitting") for message in warnings)


def test_skill_is_the_gain_over_the_class_frequencies_with_its_standard_error() -> None:
    train, test = clouds(100), clouds(40, seed=1)
    candidate = train_candidate(recipe(), splits(train, test), ignore)
    probabilities = candidate.predict(test.x)

    gains = np.log(probabilities[np.arange(40), test.y]) - math.log(0.5)

    assert candidate.skill.mean == pytest.approx(gains.mean(), rel=1e-5)
    assert candidate.skill.standard_error == pytest.approx(gains.std(ddof=1) / math.sqrt(40), rel=1e-5)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20))])
def test_shuffled_labels_show_no_skill(seed: int) -> None:
    train, test = (shuffled_labels(clouds(rows), seed) for rows in (100, 40))

    candidate = train_candidate(recipe(epochs=10, seed=seed), splits(train, test), ignore)

    assert candidate.skill.mean < GateRule().min_skill * candidate.skill.standard_error


def values(train: Dataset, test: Dataset) -> Splits:
    return Splits(train, test, {"slope.csv": "0" * 64}, (), Target(name="y", type="numeric"))


def test_a_regression_is_measured_on_every_split_and_beside_its_baselines() -> None:
    reporting = recipe(epochs=60, validation_fraction=0.2).model_copy(update={"report_every": 20})
    train, test = slope(200), slope(80, seed=1)

    candidate = train_candidate(reporting, values(train, test), ignore)

    assert set(candidate.metrics) == {"train", "validation", "test"}
    assert valued(candidate.metrics["test"]).r2 > 0.95
    assert set(candidate.baselines) == {"knn", "ridge", "gradient_boosting", "mean"}
    assert candidate.skill.naive == "mean"
    gains = (test.y - train.y.mean()) ** 2 - (test.y - candidate.predict(test.x)[:, 0]) ** 2
    assert candidate.skill.mean == pytest.approx(gains.mean(), rel=1e-6)
    assert candidate.skill.standard_error == pytest.approx(gains.std(ddof=1) / math.sqrt(80), rel=1e-6)
    probed = [metrics.test_rmse for metrics in candidate.history if metrics.test_rmse is not None]
    assert len(probed) == 3
    assert probed[-1] == pytest.approx(valued(candidate.metrics["test"]).rmse)


def test_a_test_row_whose_value_overflows_is_named() -> None:
    train, test = slope(100), slope(40, seed=1)
    train.x[:] = train.x * 1e-3
    test.x[6] = 3e38

    with pytest.raises(DatasetError, match="test split, line 8: values so far outside the training range"):
        train_candidate(recipe(), values(train, test), ignore)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))])
def test_shuffled_values_show_no_skill(seed: int) -> None:
    train, test = (shuffled_labels(slope(rows), seed) for rows in (100, 40))

    candidate = train_candidate(recipe(epochs=10, seed=seed), values(train, test), ignore)

    assert candidate.skill.mean < GateRule().min_skill * candidate.skill.standard_error
