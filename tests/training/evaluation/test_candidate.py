from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from modelstore import EpochMetrics, Notice, from_line
from tests.training.samples import clouds, finish, recipe, shuffled_labels
from training.config.recipe import GateRule
from training.data.splits import Dataset, Splits
from training.errors import DatasetError
from training.evaluation.candidate import attachments, train_candidate
from training.learners.protocol import predictor


def splits(train: Dataset, test: Dataset) -> Splits:
    return Splits(train, test, {"clouds.csv": "0" * 64}, ())


def test_a_candidate_is_measured_on_every_split_and_beside_baselines() -> None:
    training = train_candidate(recipe(validation_fraction=0.2), splits(clouds(100), clouds(40, seed=1)))

    _, candidate = finish(training)

    assert {name: metrics.rows for name, metrics in candidate.metrics.items()} == {
        "train": 80,
        "validation": 20,
        "test": 40,
    }
    assert candidate.metrics["test"].accuracy > 0.95
    assert set(candidate.baselines) == {"knn", "logistic_regression", "majority"}


def test_test_rows_that_lie_elsewhere_change_nothing_of_what_was_learnt() -> None:
    test = clouds(40, seed=1)
    shifted = replace(test, x=test.x + 1e6)
    learnt = [finish(train_candidate(recipe(), splits(clouds(100), rows)))[1] for rows in (test, shifted)]

    states = [candidate.classifier.state_dict() for candidate in learnt]
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])


def test_a_test_row_that_overflows_the_network_is_named() -> None:
    train, test = clouds(100), clouds(40, seed=1)
    train.x[:] = train.x * 1e-3
    test.x[6] = 3e38

    with pytest.raises(DatasetError, match="test split, line 8: values so far outside the training range"):
        finish(train_candidate(recipe(), splits(train, test)))


def test_the_test_accuracy_is_reported_every_so_many_epochs() -> None:
    reporting = recipe(epochs=7).model_copy(update={"report_every": 3})

    events, candidate = finish(train_candidate(reporting, splits(clouds(100), clouds(40, seed=1))))

    assert tuple(event for event in events if isinstance(event, EpochMetrics)) == candidate.history
    assert [metrics.epoch for metrics in candidate.history if metrics.test_accuracy is not None] == [3, 6]


def test_findings_come_as_warnings() -> None:
    noise = shuffled_labels(clouds(60))
    overfitting = recipe(hidden=(128,), epochs=200, lr=0.05, validation_fraction=0.3)

    events, _ = finish(train_candidate(overfitting, splits(noise, noise)))

    warnings = [event.message for event in events if isinstance(event, Notice) and event.level == "warning"]
    assert any(message.startswith("overfitting") for message in warnings)


def test_skill_is_the_gain_over_the_class_frequencies_with_its_standard_error() -> None:
    train, test = clouds(100), clouds(40, seed=1)
    _, candidate = finish(train_candidate(recipe(), splits(train, test)))
    probabilities = predictor(candidate.classifier)(test.x)

    gains = np.log(probabilities[np.arange(40), test.y]) - math.log(0.5)

    assert candidate.skill.mean == pytest.approx(gains.mean(), rel=1e-5)
    assert candidate.skill.standard_error == pytest.approx(gains.std(ddof=1) / math.sqrt(40), rel=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_shuffled_labels_show_no_skill(seed: int) -> None:
    train, test = (shuffled_labels(clouds(rows), seed) for rows in (100, 40))

    _, candidate = finish(train_candidate(recipe(epochs=10, seed=seed), splits(train, test)))

    assert candidate.skill.mean < GateRule().min_skill * candidate.skill.standard_error


@pytest.mark.parametrize(("features", "boundary"), [(2, True), (3, False)])
def test_attachments_are_history_and_pictures(features: int, *, boundary: bool) -> None:
    data = splits(clouds(100, features=features), clouds(40, features=features, seed=1))
    _, candidate = finish(train_candidate(recipe(epochs=5), data))

    told, files = finish(attachments(candidate, recipe(), data))

    assert told == []
    assert ("boundary.png" in files) is boundary
    assert set(files) - {"boundary.png"} == {"history.jsonl", "test_predictions.csv", "loss.png", "confusion.png"}
    assert [from_line(line) for line in files["history.jsonl"].splitlines()] == list(candidate.history)


def test_test_predictions_name_line_truth_and_the_predicted_classs_probability() -> None:
    data = splits(clouds(100), clouds(40, seed=1, spread=3.0))
    _, candidate = finish(train_candidate(recipe(epochs=5), data))
    probabilities = predictor(candidate.classifier)(data.test.x)

    _, files = finish(attachments(candidate, recipe(), data))
    header, *lines = files["test_predictions.csv"].decode().splitlines()

    assert header == "line,truth,predicted,probability"
    for position, line in enumerate(lines):
        number, truth, predicted, probability = line.split(",")
        assert (int(number), truth) == (position + 2, f"cloud {position % 2}")
        assert predicted == f"cloud {probabilities[position].argmax()}"
        assert float(probability) == pytest.approx(probabilities[position].max(), rel=1e-5)
    assert len(lines) == 40
