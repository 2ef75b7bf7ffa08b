"""How good probabilities are: an Evaluation from (N, K) probabilities and true classes; it must not know any model."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from modelstore import ClassReport, Evaluation

SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)
CALIBRATION_BINS = 15

Split = Literal["train", "validation", "test"]
Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]


def evaluate(probabilities: Floats, y: Ints, classes: tuple[str, ...], split: Split) -> Evaluation:
    """Measure probabilities against the truth.

    Args:
        probabilities: float32 or float64, shape (N, K), rows sum to 1.
        y: true class indices, shape (N,), 0 to K - 1.
        classes: K class names.
        split: which rows these are.
    """
    confusion = confusion_matrix(probabilities.argmax(axis=1), y, len(classes))
    reports = class_reports(confusion)
    return Evaluation(
        split=split,
        rows=len(y),
        accuracy=float(confusion.trace() / len(y)),
        macro_f1=float(np.mean([report.f1 for report in reports])),
        log_loss=log_loss(probabilities, y),
        brier=brier(probabilities, y),
        calibration_error=calibration_error(probabilities, y),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        per_class=dict(zip(classes, reports, strict=True)),
    )


def confusion_matrix(predicted: Ints, y: Ints, classes: int) -> Ints:
    """Count rows by true class (row) and predicted class (column), shape (K, K)."""
    return np.bincount(y * classes + predicted, minlength=classes * classes).reshape(classes, classes)  # (K, K)


def class_reports(confusion: Ints) -> tuple[ClassReport, ...]:
    """Return precision, recall and F1 of each class; a figure without any row to count is 0."""
    hits = confusion.diagonal()
    predicted, support = confusion.sum(axis=0), confusion.sum(axis=1)
    return tuple(
        ClassReport(
            precision=_ratio(hit, guessed), recall=_ratio(hit, rows), f1=_ratio(2 * hit, guessed + rows), support=rows
        )
        for hit, guessed, rows in zip(hits.tolist(), predicted.tolist(), support.tolist(), strict=True)
    )


def log_loss(probabilities: Floats, y: Ints) -> float:
    """Return the mean negative log likelihood in nats."""
    return float(row_losses(probabilities, y).mean())


def row_losses(probabilities: Floats, y: Ints) -> npt.NDArray[np.float64]:
    """Return the negative log likelihood of each row in nats, shape (N,).

    Probabilities are clipped to [2^-23, 1 - 2^-23], the precision of float32, whatever their type, so that one
    certain mistake costs 15.9 nats and not infinity, for a network as for a baseline.
    """
    likelihood = probabilities[np.arange(len(y)), y].astype(np.float64)  # (N,)
    losses: npt.NDArray[np.float64] = -np.log(likelihood.clip(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY))
    return losses  # (N,)


def brier(probabilities: Floats, y: Ints) -> float:
    """Return the mean squared distance of the probabilities from the one-hot truth, 0 to 2."""
    truth = np.eye(probabilities.shape[1])[y]  # (N, K)
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def calibration_error(probabilities: Floats, y: Ints) -> float:
    """Return the expected calibration error: |accuracy - confidence| over 15 bins of equal width, weighed by rows.

    Source: Guo, Pleiss, Sun & Weinberger, ICML 2017, equation 3; a bin holds its upper edge.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)  # (N,)
    right = probabilities.argmax(axis=1) == y  # (N,)
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=CALIBRATION_BINS)  # (15,)
    return float(np.abs(gaps).sum() / len(y))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
