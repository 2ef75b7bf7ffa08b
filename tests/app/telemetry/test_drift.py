"""The sample of rows by itself: the population stability index, confidence, and what is forgotten."""

from __future__ import annotations

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import ArrayLike
from scipy.stats import entropy

from app.schema import Float32
from app.telemetry.drift import (
    CONFIDENCE_BUCKETS,
    DECILES,
    LEAST_ROWS,
    PLACES,
    SAMPLED_ROWS,
    WINDOW_ROWS,
    RowSample,
    population_stability_index,
)
from app.telemetry.version_counters import MAX_CLASSES, CountsByVersion
from modelstore import NumericFeature
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
    found = population_stability_index([10_000.0, *up_to, *up_to])

    assert found == pytest.approx(entropy(observed, expected) + entropy(expected, observed), rel=1e-9)


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
