"""Calibration error of the predicted class's probability, and what chance alone makes of it.

It must not know any model. N is rows and K classes everywhere.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats64 = npt.NDArray[np.float64]

BINS = 15
LEAST_ROWS = 10  # in a bin; fewer say nothing about a frequency
DRAWS = 2000
CHANCE = 0.95


class Bins(NamedTuple):
    """Rows by confidence, which is the largest probability, in bins of equally many rows.

    Attributes:
        rows: number of rows, (B,).
        confidence: mean confidence, (B,).
        accuracy: share of rows whose most probable class is right, (B,).
    """

    rows: npt.NDArray[np.int64]
    confidence: Floats64
    accuracy: Floats64


def bins_of(probabilities: npt.NDArray[np.floating[Any]], y: npt.NDArray[np.int64]) -> Bins:
    """Return the bins of probabilities (N, K) with true classes (N,), N >= 1; at most 15 and at least 10 rows each."""
    confidence = probabilities.max(axis=1).astype(np.float64)  # (N,)
    right = (probabilities.argmax(axis=1) == y).astype(np.float64)  # (N,)
    order = np.argsort(confidence, kind="stable")
    edges = np.linspace(0, len(y), 1 + max(1, min(BINS, len(y) // LEAST_ROWS))).astype(np.int64)
    rows = np.diff(edges)
    confidences, rights = (np.add.reduceat(values[order], edges[:-1]) / rows for values in (confidence, right))
    return Bins(rows, confidences, rights)


def calibration_error(bins: Bins) -> float:
    """Return the root of the mean squared distance of accuracy and confidence over the rows, without its chance part.

    The variance of each bin's accuracy is subtracted, since the distance of a perfectly calibrated model would
    otherwise not be 0 on average; what falls below 0 is 0.

    Source: Kumar, Liang & Ma, Verified Uncertainty Calibration, NeurIPS 2019, section 4.1; equal mass as in Roelofs,
    Cain, Shlens & Mozer, Mitigating Bias in Calibration Error Estimation, AISTATS 2022.
    """
    return float(_compute_errors(bins, bins.accuracy))


def chance_limit(bins: Bins) -> float:
    """Return the calibration error below which 95 % of perfectly calibrated models with this confidence would stay."""
    return float(np.quantile(_compute_errors(bins, _draw_accuracies(bins)), CHANCE))


def accuracy_band(bins: Bins) -> tuple[Floats64, Floats64]:
    """Return the lowest and highest accuracy of each bin, both (B,), that a calibrated model shows in 95 % of draws."""
    low, high = np.quantile(_draw_accuracies(bins), [(1 - CHANCE) / 2, (1 + CHANCE) / 2], axis=0)
    return low, high


def _draw_accuracies(bins: Bins) -> Floats64:
    """Return accuracies (DRAWS, B) of calibrated models: a row is right as often as its bin's confidence says."""
    shape = (DRAWS, len(bins.rows))
    return np.random.default_rng(0).binomial(bins.rows, bins.confidence.clip(0, 1), shape) / bins.rows


def _compute_errors(bins: Bins, accuracy: Floats64) -> Floats64:
    """Return the errors of accuracies (..., B)."""
    chance = accuracy * (1 - accuracy) / np.maximum(bins.rows - 1, 1)
    squares = ((accuracy - bins.confidence) ** 2 - chance) @ (bins.rows / bins.rows.sum())
    errors: Floats64 = np.sqrt(np.maximum(squares, 0)).clip(0, 1)
    return errors
