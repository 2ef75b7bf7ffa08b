from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.calibration import Floats64, accuracy_band, bins_of, calibration_error, chance_limit

Ints = np.ndarray[tuple[int], np.dtype[np.int64]]


def calibrated(seed: int, rows: int, classes: int = 3) -> tuple[Floats64, Ints]:
    """Return probabilities and classes drawn with them."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.full(classes, 0.7), rows)
    chosen = (probabilities.cumsum(axis=1) < generator.random((rows, 1))).sum(axis=1)
    return probabilities, chosen.clip(max=classes - 1).astype(np.int64)


def sharpened(probabilities: Floats64, power: float) -> Floats64:
    powers = probabilities**power
    sharp: Floats64 = powers / powers.sum(axis=1, keepdims=True)
    return sharp


def test_the_error_is_right_by_hand() -> None:
    # 20 rows in two bins: confidence 0.6, 7 of 10 right, and confidence 0.9, 5 of 10 right
    probabilities = np.array([[0.6, 0.4]] * 10 + [[0.9, 0.1]] * 10)
    y = np.array([0] * 7 + [1] * 3 + [0] * 5 + [1] * 5)

    squares = (0.1**2 - 0.7 * 0.3 / 9) / 2 + (0.4**2 - 0.5 * 0.5 / 9) / 2
    assert calibration_error(bins_of(probabilities, y)) == pytest.approx(np.sqrt(squares))


def test_bins_have_equally_many_rows() -> None:
    assert bins_of(*calibrated(0, 150)).rows.tolist() == [10] * 15
    assert sorted(bins_of(*calibrated(0, 47)).rows.tolist()) == [11, 12, 12, 12]
    assert bins_of(np.array([[0.8, 0.2]]), np.array([0])).rows.tolist() == [1]


@pytest.mark.slow
def test_the_error_does_not_depend_on_the_number_of_rows() -> None:
    """Without the subtracted variance, a calibrated model of 300 rows has a mean squared error of 0.04 ** 2."""
    errors = [calibration_error(bins_of(sharpened(p, 1.5), y)) for p, y in (calibrated(s, 300) for s in range(200))]
    exact_p, exact_y = calibrated(1, 400_000)

    exact = calibration_error(bins_of(sharpened(exact_p, 1.5), exact_y))
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize("rows", [60, 300, 3000])
def test_a_calibrated_model_lies_in_its_band_and_one_that_is_too_sure_does_not(rows: int) -> None:
    inside, sure = 0, 0
    for seed in range(20):
        probabilities, y = calibrated(seed, rows)
        for power in (1.0, 2.5):
            bins = bins_of(sharpened(probabilities, power), y)
            within = calibration_error(bins) <= chance_limit(bins)
            inside, sure = inside + (within and power == 1), sure + (not within and power > 1)

    assert inside >= 17
    assert sure >= (17 if rows >= 300 else 8)


def test_the_band_of_accuracies_holds_those_of_a_calibrated_model() -> None:
    bins = bins_of(*calibrated(5, 3000))
    low, high = accuracy_band(bins)

    assert ((low <= bins.accuracy) & (bins.accuracy <= high)).sum() >= 13
    np.testing.assert_allclose(high - low, 2 * 1.96 * np.sqrt(bins.confidence * (1 - bins.confidence) / 200), rtol=0.2)
