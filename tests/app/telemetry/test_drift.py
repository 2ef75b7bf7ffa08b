"""The sample of rows: the population stability index, confidence, and what is forgotten."""

from __future__ import annotations

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import ArrayLike
from scipy.stats import entropy

from app.schema import Float32
from app.telemetry.counts_by_version import MAX_CLASSES, CountsByVersion
from app.telemetry.drift import (
    CONFIDENCE_BUCKETS,
    DECILES,
    LEAST_ROWS,
    PLACES,
    SAMPLED_ROWS,
    WINDOW_ROWS,
    RowSample,
    drift_of,
    places_of,
    population_stability_index,
)
from modelstore import BooleanFeature, CategoricalFeature, DatetimeFeature, Feature, NumericFeature
from tests.app.telemetry.figures import parsed

ROWS = 4000


def feature(training: ArrayLike, name: str = "x") -> NumericFeature:
    """Describe a feature as a training does."""
    values = np.asarray(training, dtype=np.float32)
    deciles = tuple(float(decile) for decile in np.quantile(values, np.arange(1, 10) / 10))
    return NumericFeature(
        name=name,
        mean=float(values.mean()),
        std=float(values.std()),
        min=float(values.min()),
        max=float(values.max()),
        quantiles=deciles,
    )


class Sampled:
    """A sample and what it adds to."""

    def __init__(self, *features: NumericFeature, classes: int = 2) -> None:
        self.features = features
        self.by_decile = [[0.0] * PLACES for _ in features]
        self.by_confidence = [0.0] * (len(CONFIDENCE_BUCKETS) + 2)
        self.sample = RowSample(features, classes, self.by_decile, self.by_confidence, pause_s=0)

    def ask(self, x: ArrayLike, winning: float = 0.75) -> None:
        """Ask for rows one by one, each with an answer of this confidence."""
        for row in np.asarray(x, dtype=np.float32).reshape(-1, len(self.features)):
            self.sample.add(row.reshape(1, -1), np.array([[winning, 1 - winning]], dtype=np.float32))
        self.sample.sort()

    @property
    def indices(self) -> list[float | None]:
        return [population_stability_index(each) for each in self.by_decile]


def normal(rows: int, mean: float = 0.0, seed: int = 1) -> Float32:
    return np.random.default_rng(seed).normal(mean, 1, rows).astype(np.float32)


def divergence(observed: list[float], expected: list[float]) -> float:
    return float(entropy(observed, expected) + entropy(expected, observed))


def index_of(training: ArrayLike, asked: ArrayLike) -> float:
    sampled = Sampled(feature(training))
    sampled.ask(asked)
    (found,) = sampled.indices
    assert found is not None
    return found


def test_index_is_the_divergence_of_both_distributions_in_both_directions() -> None:
    observed = [0.05, 0.05, 0.05, 0.05, 0.1, 0.1, 0.1, 0.1, 0.2, 0.2]
    expected = [0.1] * 10
    up_to = [10_000 * float(share) for share in np.cumsum(observed)[:-1]]
    found = population_stability_index([10_000.0, *up_to, *up_to, 0.0])

    assert found == pytest.approx(divergence(observed, expected), rel=1e-9)


def test_rows_without_a_value_are_a_bin_of_their_own() -> None:
    up_to = [9000.0 * tenth / 10 for tenth in range(1, 10)]
    found = population_stability_index([9000.0, *up_to, *up_to, 1000.0], missing=0.2)

    assert found == pytest.approx(divergence([0.1, *[0.09] * 10], [0.2, *[0.08] * 10]), rel=1e-9)


def test_rows_like_those_of_the_training_show_no_drift_and_moved_ones_do() -> None:
    training = normal(5000)

    assert index_of(training, normal(ROWS, seed=2)) < 0.02
    assert 0.02 < index_of(training, normal(ROWS, 0.2, seed=2)) < 0.1
    assert index_of(training, normal(ROWS, 1.0, seed=2)) > 0.25


SHARED = {
    "constant": [3.0] * 1000,
    "half of two": [0.0] * 450 + [1.0] * 550,
    "hardly any": [0.0] * 998 + [1.0] * 2,
    "hardly none": [0.0] * 2 + [1.0] * 998,
    "mostly zero": [0.0] * 350 + [*np.linspace(1, 2, 650)],
    "few whole numbers": [*np.random.default_rng(3).poisson(4, 1000)],
}


@pytest.mark.parametrize("training", SHARED.values(), ids=SHARED.keys())
def test_values_that_many_rows_share_are_no_drift(training: list[float]) -> None:
    asked = np.random.default_rng(4).choice(training, ROWS)

    assert index_of(training, asked) < 0.1


@pytest.mark.parametrize("training", SHARED.values(), ids=SHARED.keys())
def test_values_that_no_training_row_had_are_drift(training: list[float]) -> None:
    asked = np.random.default_rng(4).choice(training, ROWS)
    asked[::3] = 9.5

    assert index_of(training, asked) > 0.25


def test_few_rows_say_nothing() -> None:
    sampled = Sampled(feature(normal(1000)))
    sampled.ask(normal(LEAST_ROWS - 1))
    assert sampled.indices == [None]

    sampled.ask(normal(1))
    assert sampled.indices != [None]


def test_features_are_told_apart() -> None:
    training = normal(5000)
    sampled = Sampled(feature(training, "still"), feature(training, "moved"))
    sampled.ask(np.column_stack((normal(ROWS), normal(ROWS, 2.0))))

    still, moved = sampled.indices
    assert still is not None
    assert moved is not None
    assert still < 0.02
    assert moved > 0.25


def test_rows_of_long_ago_are_forgotten() -> None:
    sampled = Sampled(feature(normal(5000)))
    sampled.ask(normal(WINDOW_ROWS, 3.0))
    sampled.ask(normal(8 * WINDOW_ROWS))

    assert sampled.by_decile[0][0] <= WINDOW_ROWS
    assert (sampled.indices[0] or 0) < 0.1


def test_of_a_large_request_rows_are_taken_from_everywhere() -> None:
    sampled = Sampled(feature(np.linspace(0, 1, 1001)))
    x = np.linspace(0, 1, 100_000, dtype=np.float32).reshape(-1, 1)
    for _ in range(10):
        sampled.sample.add(x, np.full((len(x), 2), 0.5, dtype=np.float32))
    sampled.sample.sort()

    rows, *counts = sampled.by_decile[0]
    assert rows <= 10 * SAMPLED_ROWS
    assert counts[:DECILES] == pytest.approx(rows * np.arange(1, 10) / 10, abs=10)


def test_sampling_does_not_slow_down_a_flood_of_rows() -> None:
    """Room for more is made every ten minutes here; a scrape makes it, too."""
    one = feature([0.0, 1.0])
    by_decile = [[0.0] * PLACES]
    sample = RowSample([one], 2, by_decile, [0.0] * (len(CONFIDENCE_BUCKETS) + 2), pause_s=600)
    x, probabilities = np.zeros((1, 1), dtype=np.float32), np.full((1, 2), 0.5, dtype=np.float32)
    for _ in range(WINDOW_ROWS // 2):
        sample.add(x, probabilities)
    sample.sort()
    full = by_decile[0][0]
    sample.add(x, probabilities)
    sample.sort()

    assert full < LEAST_ROWS
    assert by_decile[0][0] == full + 1


def test_confidence_counts_under_the_first_bound_that_holds_it() -> None:
    sampled = Sampled(feature([0.0, 1.0]))
    for winning in (0.5, 0.75, 0.75, 0.9921875, 1.0, np.nan):
        sampled.ask([0.5], winning)

    counts = dict(zip((*CONFIDENCE_BUCKETS, "+Inf", "sum"), sampled.by_confidence, strict=True))
    assert {bound: count for bound, count in counts.items() if count} == {0.5: 1, 0.8: 2, 1.0: 2, "sum": 3.9921875}


@pytest.mark.parametrize(("features", "classes"), [(101, 2), (2, MAX_CLASSES + 1)])
def test_rows_of_very_many_features_and_the_confidence_of_very_many_classes_are_not_sampled(
    features: int, classes: int
) -> None:
    x = np.zeros((1, features), dtype=np.float32)
    counted = CountsByVersion()
    names = [str(k) for k in range(classes)]
    each = [feature([0.0, 1.0], str(column)) for column in range(features)]
    counted.version("wide", 1, names, each).count_sample(x, np.full((1, classes), 1 / classes, dtype=np.float32))

    assert not counted.figures["statistics_confidence"]
    assert (not counted.figures["statistics_sampled"]) == (features > 100)


@pytest.mark.slow
def test_service_shows_drift_and_confidence_of_what_it_was_asked(client: TestClient) -> None:
    rows = [[place % 2 / 2, place / 50] for place in range(50)]
    for _ in range(LEAST_ROWS // len(rows)):
        assert client.post("/predict/means", json={"instances": rows}).status_code == 200
        shown = parsed(client.get("/metrics").text)  # what was sampled is sorted now: there is room for more

    labels = {"model": "means", "version": "1"}
    assert shown["tabserve_prediction_confidence_count", frozenset(labels.items())] == LEAST_ROWS
    drift = {
        name: shown["tabserve_feature_drift_psi", frozenset({("model", "means"), ("feature", name)})]
        for name in ("left", "right")
    }
    assert drift["left"] > 0.25  # two values of a whole range
    assert drift["right"] < 0.1


PLAN = CategoricalFeature(name="plan", categories={"basic": 600, "plus": 300}, other=60, missing=40)
PAID = BooleanFeature(name="paid", true_values=("yes",), false_values=("no",), true=500, false=500)
SINCE = DatetimeFeature(
    name="since", min="2020-01-01", max="2020-12-31", quantiles=tuple(range(18_300, 18_600, 33))[:9]
)


def typed_indices(rows: list[list[float]], training_rows: int | None = 1000) -> dict[str, float | None]:
    """Return the index of a feature of each type after 4000 rows, made by repeating the given ones."""
    number = feature(normal(1000), "number").model_copy(update={"missing": 250})
    features: tuple[Feature, ...] = (PLAN, SINCE, PAID, number)
    counts = [[0.0] * places_of(each) for each in features]
    sample = RowSample(features, 0, counts, [], pause_s=0)
    x = np.array(rows * (ROWS // len(rows)), dtype=np.float32)
    for start in range(0, len(x), SAMPLED_ROWS):
        sample.add(x[start : start + SAMPLED_ROWS], np.empty((len(x[start : start + SAMPLED_ROWS]), 0), np.float32))
    sample.sort()
    return {each.name: drift_of(each, counted, training_rows) for each, counted in zip(features, counts, strict=True)}


def test_drift_of_categories_and_truth_values_is_that_of_their_shares_with_other_and_missing_ones() -> None:
    codes = [0.0] * 8 + [1.0] * 4 + [2.0] * 2 + [np.nan] * 2  # basic, plus, other, missing
    truths = [1.0] * 10 + [0.0] * 4 + [np.nan] * 2
    rows = [[code, 18_400, 0, truth, 0.1] for code, truth in zip(codes, truths, strict=True)]

    found = typed_indices(rows)

    assert found["plan"] == pytest.approx(divergence([0.5, 0.25, 0.125, 0.125], [0.6, 0.3, 0.06, 0.04]), rel=1e-6)
    assert found["paid"] == pytest.approx(divergence([0.25, 0.625, 0.125], [0.5, 0.5, 1e-4]), rel=1e-3)


@pytest.mark.parametrize(("later", "drifts"), [(0, False), (200, True)], ids=["as in training", "half a year later"])
def test_dates_drift_with_their_days_whatever_the_time_of_day(later: int, drifts: bool) -> None:
    days = np.linspace(18_267, 18_597, 80) // 1 + later
    rows = [[0, day, second % 86_400, 1, 0.5] for second, day in enumerate(days.tolist(), start=86_000)]

    index = typed_indices(rows)["since"]

    assert index is not None
    assert (index > 0.25) == drifts
    assert drifts or index < 0.1


def test_numbers_that_are_missing_as_often_as_in_training_are_no_drift() -> None:
    values = normal(60, seed=5).tolist()
    as_before = [[0, 18_400, 0, 1, value] for value in values + [np.nan] * 20]  # a quarter is missing
    never = [[0, 18_400, 0, 1, value] for value in values]

    still, gone = typed_indices(as_before)["number"], typed_indices(never)["number"]

    assert still is not None
    assert gone is not None
    assert gone - still > 1
    assert still < 0.25
    # without the rows of the training, the share that it had is not known, and says nothing
    assert typed_indices(as_before, None)["number"] == pytest.approx(typed_indices(never, None)["number"], rel=1e-6)


def test_missing_values_alone_make_an_index_once_there_are_enough_rows() -> None:
    index = typed_indices([[0, np.nan, np.nan, 1, 0.5]])["since"]

    assert index is not None
    assert index > 1
