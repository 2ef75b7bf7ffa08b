from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from modelstore import Decision
from training.evaluation.trust_plots import abstaining, reliability, reliability_json, risk_by_coverage, thresholds


def require_picture(png: bytes) -> None:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", png[16:24]) == (768, 576)
    assert 5_000 < len(png) < 300_000


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "classes"), [(1, 2), (40, 3), (3000, 2)])
def test_reliability_is_a_picture(rows: int, classes: int) -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(classes), rows).astype(np.float32)

    require_picture(reliability(probabilities, generator.integers(0, classes, rows), "cloud: $ test rows"))


def test_data_of_reliability_are_the_rows_by_confidence_with_the_band_of_a_calibrated_model() -> None:
    sure = np.repeat([0.62, 0.92], 500)
    y = np.concatenate((np.arange(500) % 5 > 2, np.arange(500) % 2)).astype(np.int64)  # 60 % and 50 % are right

    found = json.loads(reliability_json(np.column_stack((sure, 1 - sure)), y))

    assert found["rows"] == sum(one["rows"] for one in found["bins"]) == sum(found["histogram"]) == 1000
    assert [(place, rows) for place, rows in enumerate(found["histogram"]) if rows] == [(12, 500), (18, 500)]
    first, last = found["bins"][0], found["bins"][-1]
    assert (first["confidence"], last["confidence"]) == (pytest.approx(0.62), pytest.approx(0.92))
    assert first["low"] < 0.62 < first["high"]
    assert last["accuracy"] < last["low"] < 0.92, "half of those rows are wrong, which no calibrated model shows"


@pytest.mark.slow
@pytest.mark.parametrize("decision", [None, Decision(threshold=0.3), Decision(costs=((0, -1), (0, 0)))])
def test_thresholds_are_a_picture(decision: Decision | None) -> None:
    generator = np.random.default_rng(0)
    second = generator.random(200).astype(np.float32)
    y = (generator.random(200) < second).astype(np.int64)

    pictures = [thresholds(second, y, "a name $ of a class\n" * 9, "title", one) for one in (decision, None)]

    for picture in pictures:
        require_picture(picture)
    assert (pictures[0] == pictures[1]) is (decision is None)


@pytest.mark.parametrize(("rows", "classes"), [(1, 2), (40, 3), (3000, 2)])
def test_abstaining_is_a_picture(rows: int, classes: int) -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(classes), rows).astype(np.float32)

    require_picture(abstaining(probabilities, generator.integers(0, classes, rows), "cloud: $ test rows"))


def test_the_surer_a_row_must_be_the_fewer_of_the_decided_ones_are_wrong() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1, 50_000)

    decided, risk, least = risk_by_coverage(confidence, generator.random(50_000) < confidence)

    at = [np.searchsorted(-least, -threshold) - 1 for threshold in (0.9, 0.8, 0.7, 0.6)]  # the last row above it
    assert decided[at] == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=0.01)
    assert risk[at] == pytest.approx([0.05, 0.1, 0.15, 0.2], abs=0.01)  # 1 less the mean confidence of these rows


def test_rows_of_one_confidence_are_decided_together() -> None:
    confidence = np.array([0.6, 0.9, 0.9, 0.8])
    decided, risk, at = risk_by_coverage(confidence, np.array([False, True, False, True]))

    assert at.tolist() == [0.9, 0.8, 0.6]
    assert decided.tolist() == [0.5, 0.75, 1]
    assert risk.tolist() == pytest.approx([1 / 2, 1 / 3, 2 / 4])
