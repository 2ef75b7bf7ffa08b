"""How answers depend on a column: additive models recovered, for each type of column."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import orjson
import pytest

from tests.training.samples import clouds, typed
from training.evaluation.dependence import LINES, POINTS, measure_dependence, to_json


def test_the_mean_and_the_lines_follow_an_additive_model() -> None:
    rows = clouds(400, features=3)
    quantity = replace(rows, y=rows.y.astype(np.float64), classes=())

    def answer(x: np.ndarray) -> np.ndarray:
        """Return the square of the first cell plus the second."""
        return np.asarray(x[:, :1] ** 2 + x[:, 1:2], dtype=np.float32)

    first, third = measure_dependence(answer, quantity, quantity, [rows.features[0], rows.features[2]])

    values = np.array(first.values, dtype=float)
    assert (len(values), first.lines.shape) == (POINTS, (LINES, POINTS))
    assert values[0] == pytest.approx(rows.x[:, 0].min())
    assert values[-1] == pytest.approx(rows.x[:, 0].max())
    assert np.ptp(first.means[:, 0] - values**2) < 1e-4
    assert np.ptp(third.means) == 0
    assert np.allclose(first.lines - first.lines[:, :1], first.means[:, 0] - first.means[0, 0], atol=1e-4)
    assert first.deciles[4] == pytest.approx(np.median(rows.x[:, 0]), abs=1e-4)


def test_every_type_of_column_has_values_that_people_read() -> None:
    rows = typed(300)

    def answer(x: np.ndarray) -> np.ndarray:
        """Return a probability that depends on the plan."""
        high = (np.nan_to_num(x[:, 1]) == 2).astype(np.float32)
        return np.stack([1 - high, high], axis=1)

    found = {one.column: one for one in measure_dependence(answer, rows, rows, rows.features)}

    assert found["plan"].values == ["basic", "plus", "gold"]
    assert found["plan"].means[:, 1].tolist() == [0, 0, 1]
    assert found["paperless"].values == ["No", "Yes"]
    assert found["city"].values == ["Ulm", "Bonn", "(other)"]
    assert len(str(found["since"].values[0])) == len("1970-01-01")
    written = orjson.loads(to_json(list(found.values()), rows.classes))["columns"]
    assert set(written["plan"]["means"]) == set(rows.classes)
    assert written["plan"]["lines_of"] == rows.classes[1]


def test_a_column_of_one_value_has_no_dependence() -> None:
    rows = clouds(50)
    rows.x[:, 0] = 1

    assert [one.column for one in measure_dependence(lambda x: x[:, :1], rows, rows, rows.features)] == ["x1"]
