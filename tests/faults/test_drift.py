"""M-12: drift is reported for the feature that moved and no other, on real data."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_iris, load_wine

from app.schema import Float32
from app.telemetry.drift import CONFIDENCE_BUCKETS, PLACES, RowSample, population_stability_index
from modelstore import NumericFeature
from tests.promises import Measured

RUNS, ROWS, SOON_ROWS = 20, 10_000, 2000
WARN, ALERT = 0.1, 0.25
DATA = {"iris": load_iris, "wine": load_wine, "cancer": load_breast_cancer}


def described(x: Float32) -> list[NumericFeature]:
    deciles = np.quantile(x, np.arange(1, 10) / 10, axis=0).T
    return [
        NumericFeature(
            name=str(column),
            mean=float(x[:, column].mean()),
            std=float(x[:, column].std()),
            min=float(x[:, column].min()),
            max=float(x[:, column].max()),
            quantiles=tuple(deciles[column].tolist()),
        )
        for column in range(x.shape[1])
    ]


def indices(features: list[NumericFeature], asked: Float32) -> Float32:
    """Return the index of each feature after predicting these rows one by one, shape (F,)."""
    by_decile = [[0.0] * PLACES for _ in features]
    sample = RowSample(features, 2, by_decile, [0.0] * (len(CONFIDENCE_BUCKETS) + 2), pause_s=0)
    answer = np.full((1, 2), 0.5, dtype=np.float32)
    for row in asked:
        sample.add(row.reshape(1, -1), answer)
    sample.sort()
    return np.array([population_stability_index(each) for each in by_decile], dtype=np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", DATA)
def test_rows_like_those_of_the_training_never_alarm_and_a_feature_that_moved_does(
    name: str, measured: Measured
) -> None:
    """20 runs of 10,000 rows; then each feature a standard deviation higher or lower, and 2,000 rows."""
    x = DATA[name](return_X_y=True)[0].astype(np.float32)
    features, draws = described(x), np.random.default_rng(12)
    still = [indices(features, draws.choice(x, ROWS)).max() for _ in range(RUNS)]
    moved, beside = [], []
    for (column, feature), way in itertools.product(enumerate(features), (1, -1)):
        asked = draws.choice(x, SOON_ROWS)
        asked[:, column] += np.float32(way * feature.std)
        found = indices(features, asked)
        moved.append(found[column])
        beside.append(np.delete(found, column).max())

    assert max(still) < WARN
    assert min(moved) > ALERT
    assert max(beside) < WARN
    measured(
        "M-12",
        f"{name}: {RUNS} times {ROWS} rows as in training: at most {max(still):.3f}; each of {len(features)} features "
        f"a standard deviation higher or lower: at least {min(moved):.2f} after {SOON_ROWS} rows, others at most "
        f"{max(beside):.3f}",
    )
