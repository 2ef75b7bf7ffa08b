"""Live figures against those of the training, of SciPy's kind or by hand."""

from __future__ import annotations

import numpy as np
import pytest

from app.feedback.live import (
    ClassFigures,
    Sampled,
    ValueFigures,
    calibration,
    expect,
    log_losses,
    measure,
    measure_classes,
    measure_values,
)
from app.jobs.records import LabelledRow
from training.evaluation.calibration import bins_of, calibration_error, chance_limit


def draw(rows: int, seed: int, too_sure: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return confidences, and whether each answer was right, as often as its confidence less `too_sure` says."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.5 + too_sure, 1, rows)
    return confidence, random.random(rows) < confidence - too_sure


def test_calibration_is_that_of_the_training() -> None:
    confidence, right = draw(3000, 1, too_sure=0.1)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    bins = bins_of(probabilities, (~right).astype(np.int64))

    error, limit = calibration(confidence, right)

    assert error == pytest.approx(calibration_error(bins), rel=1e-12)
    assert limit == pytest.approx(chance_limit(bins), rel=0.1)  # both are drawn
    assert error > limit


def test_a_calibrated_version_stays_below_its_limit_in_most_draws() -> None:
    below = 0
    for seed in range(40):
        error, limit = calibration(*draw(200, seed))
        below += error <= limit

    assert below >= 34  # fewer come by chance once in 500 times, at 95 %


def test_log_loss_of_two_classes_is_the_usual_one() -> None:
    confidence, right = np.array([0.9, 0.6, 1.0, 0.8]), np.array([True, False, False, True])

    assert log_losses(confidence, right)[[0, 1, 3]] == pytest.approx(-np.log([0.9, 0.4, 0.8]))
    assert log_losses(confidence, right)[2] == pytest.approx(-np.log(2**-24))


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = np.zeros(3)
    truth = np.mean([-c * np.log(c) - (1 - c) * np.log(1 - c) for c in np.linspace(0.5, 1, 100_001)[:-1]])
    for seed in range(100):
        figures = measure_classes(*draw(300, seed))
        noise = np.random.default_rng(seed).normal(size=300)
        values = measure_values(noise, np.zeros(300))
        intervals = (figures.accuracy_interval, figures.confidence_log_loss_interval, values.rmse_interval)
        held += [low <= true <= high for (low, high), true in zip(intervals, (0.75, truth, 1.0), strict=True)]

    assert (held >= 88).all(), held  # of 100, at 95 %


def test_figures_of_kept_rows_are_those_of_their_kind() -> None:
    classes = [LabelledRow(b"", "iris", 1, 0, *each) for each in ((1.0, 0.75, 1.0), (0.0, 0.5, 1.0))]
    values = [LabelledRow(b"", "house", 1, 0, *each) for each in ((3.0, None, 0.0), (1.0, None, 5.0))]

    of_classes, of_values = measure(classes, has_classes=True), measure(values, has_classes=False)

    assert isinstance(of_classes, ClassFigures)
    assert (of_classes.accuracy, of_classes.mean_confidence) == (0.5, 0.625)
    assert isinstance(of_values, ValueFigures)
    assert (of_values.rmse**2, of_values.mean_error) == pytest.approx((12.5, -0.5))
    assert measure([], has_classes=True) is None
    assert measure(values[:1], has_classes=False) is not None


@pytest.mark.parametrize(
    ("counted", "decision", "accuracy", "reason"),
    [
        (Sampled(100, 80.0, 1000, 50), False, 0.8, None),
        (Sampled(100, 80.0, 1000, 51), False, None, "5.1% of the rows"),
        (Sampled(0, 0.0, 0, 0), False, None, "no row"),
        (Sampled(100, 80.0, 1000, 0), True, None, "by a decision"),
    ],
)
def test_expected_accuracy_is_refused_where_it_would_mislead(
    counted: Sampled, decision: bool, accuracy: float | None, reason: str | None
) -> None:
    found = expect(counted, has_decision=decision)

    assert found.accuracy == accuracy
    assert (reason or "") in (found.reason or "")
    assert (found.accuracy is None) == (found.reason is not None)
