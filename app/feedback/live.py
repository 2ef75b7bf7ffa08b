"""Live figures of a version: how right its answers were, and how right they should be.

This module must not know HTTP or a database. N is labelled rows and B bins everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from app.jobs.records import LabelledRow
from modelstore.intervals import interval, wilson

BINS, LEAST_ROWS = 15, 10  # most bins, and fewest rows of one
DRAWS, CHANCE = 1000, 0.95
MOST_OUTSIDE = 0.05  # share of rows with warnings up to which the confidence is believed

Limits = tuple[float, float]
Floats = npt.NDArray[np.float64]


class ClassFigures(BaseModel):
    """How right the classes were that a version answered; all intervals are of 95 %.

    Attributes:
        accuracy: share of rows whose answer is the label.
        mean_confidence: mean probability of the answers; that of a calibrated version equals its accuracy.
        confidence_log_loss: mean negative logarithm of the probability that the answer gave to what turned out: that it
            is right, or that it is wrong. With two classes this is the log loss.
        calibration_error: root mean squared distance of accuracy and confidence, without its chance part.
        calibration_limit: the error below which 95 % of calibrated versions with these answers stay.
    """

    accuracy: float
    accuracy_interval: Limits
    mean_confidence: float
    confidence_log_loss: float
    confidence_log_loss_interval: Limits
    calibration_error: float
    calibration_limit: float


class ValueFigures(BaseModel):
    """How right the quantities were that a version answered; the interval is of 95 %, all in the unit of the target.

    Attributes:
        mean_error: mean of answer minus label.
    """

    rmse: float
    rmse_interval: Limits
    mean_error: float


class Expected(BaseModel):
    """The accuracy that the version's own probabilities promise, without labels, since the service started.

    Attributes:
        accuracy: mean of the largest probability; null where it cannot be told, for the reason.
        rows: rows of the sample.
        outside_share: share of rows with a value that is unseen, outside the training range, or missing in a column
            that had no gaps in training.
        reason: why there is no figure.
    """

    accuracy: float | None
    rows: int
    outside_share: float | None
    reason: str | None


class Sampled(NamedTuple):
    """What was counted of a version without labels.

    Attributes:
        rows: sampled rows, and the sum of their largest probabilities.
        computed: all rows, and those with a value that gets a warning.
    """

    rows: int
    probability_sum: float
    computed: int
    outside: int


def measure(rows: Sequence[LabelledRow], *, has_classes: bool) -> ClassFigures | ValueFigures | None:
    """Return the figures of labelled rows; None without a row."""
    if not rows:
        return None
    answer, label = (np.array([getattr(row, name) for row in rows]) for name in ("answer", "label"))
    if not has_classes:
        return measure_values(answer, label)
    return measure_classes(np.array([row.confidence for row in rows], dtype=np.float64), answer == label)


def measure_values(answer: Floats, label: Floats) -> ValueFigures:
    """Return the figures of quantities (N,) and their true values (N,)."""
    squares = (answer - label) ** 2
    low, high = _interval_of_mean(squares)
    return ValueFigures(
        rmse=float(np.sqrt(squares.mean())),
        rmse_interval=(low**0.5, high**0.5),
        mean_error=float((answer - label).mean()),
    )


def measure_classes(confidence: Floats, right: npt.NDArray[np.bool_]) -> ClassFigures:
    """Return the figures of answers with this confidence (N,), of which some are right (N,)."""
    losses = log_losses(confidence, right)
    accuracy = float(right.mean())
    error, limit = calibration(confidence, right)
    return ClassFigures(
        accuracy=accuracy,
        accuracy_interval=wilson(accuracy, len(right)),
        mean_confidence=float(confidence.mean()),
        confidence_log_loss=float(losses.mean()),
        confidence_log_loss_interval=_interval_of_mean(losses),
        calibration_error=error,
        calibration_limit=limit,
    )


def log_losses(confidence: Floats, right: npt.NDArray[np.bool_]) -> Floats:
    """Return the negative logarithm, (N,), of the probability that each answer gave to its being right, or wrong.

    A probability of 0 counts as the smallest step of float32 below 1, 6e-8.
    """
    smallest = float(np.finfo(np.float32).epsneg)
    losses: Floats = -np.log(np.maximum(np.where(right, confidence, 1 - confidence), smallest))
    return losses


def calibration(confidence: Floats, right: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return the calibration error, and the error below which 95 % of calibrated versions stay.

    Bins have equally many rows. The variance of each bin's accuracy is subtracted, since the error of a calibrated
    version would otherwise not be 0 on average.

    Source: Kumar, Liang & Ma, Verified Uncertainty Calibration, NeurIPS 2019, section 4.1.
    """
    rows = len(right)
    edges = np.linspace(0, rows, 1 + max(1, min(BINS, rows // LEAST_ROWS))).astype(np.int64)
    sizes, order = np.diff(edges), np.argsort(confidence, kind="stable")
    said, found = (np.add.reduceat(values[order], edges[:-1]) / sizes for values in (confidence, right.astype(float)))
    draws = np.random.default_rng(0).binomial(sizes, said.clip(0, 1), (DRAWS, len(sizes))) / sizes  # (DRAWS, B)

    def error(accuracy: Floats) -> Floats:
        """Return the errors of accuracies (..., B)."""
        chance = accuracy * (1 - accuracy) / np.maximum(sizes - 1, 1)
        errors: Floats = np.sqrt(np.maximum(((accuracy - said) ** 2 - chance) @ (sizes / rows), 0))
        return errors

    return float(error(found)), float(np.quantile(error(draws), CHANCE))


def expect(sampled: Sampled, *, has_decision: bool) -> Expected:
    """Return the accuracy that the probabilities of a classifier promise, as far as they can be believed."""
    share = sampled.outside / sampled.computed if sampled.computed else None
    reason = None
    if has_decision:
        reason = "the version chooses its answers by a decision, not by the largest probability"
    elif not sampled.rows:
        reason = "no row was sampled since the service started"
    elif share is not None and share > MOST_OUTSIDE:
        reason = (
            f"{share:.1%} of the rows, more than {MOST_OUTSIDE:.0%}, have a value that is unseen, outside the training "
            "range, or missing in a column that had no gaps in training: probabilities say nothing there"
        )
    accuracy = sampled.probability_sum / sampled.rows if reason is None else None
    return Expected(accuracy=accuracy, rows=sampled.rows, outside_share=share, reason=reason)


def _interval_of_mean(values: Floats) -> Limits:
    """Return the interval of 95 % of the mean of values (N,), not below 0; of a single one, everything."""
    if len(values) < 2:
        return 0.0, float(np.finfo(np.float32).max)
    return interval(float(values.mean()), float(values.std(ddof=1)) / len(values) ** 0.5)
