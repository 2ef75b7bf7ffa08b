"""Intervals of 95 %: what other rows of the same number would show.

It must not know any model.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from modelstore.intervals import TWO_SIDED, Limits, interval

DRAWS = 200


class Sums:
    """Number, sum and sum of squares of the values of rows."""

    def __init__(self) -> None:
        self.rows = 0
        self._total, self._squares = 0.0, 0.0

    def add(self, values: npt.NDArray[Any]) -> None:
        """Add the values of some rows, (n,)."""
        values = values.astype(np.float64)
        self.rows += len(values)
        self._total += float(values.sum())
        self._squares += float(values @ values)

    @property
    def mean(self) -> float:
        """Return the mean."""
        return self._total / self.rows

    @property
    def interval(self) -> Limits | None:
        """Return the interval of 95 % of the mean, not below 0; None for a single row."""
        if self.rows < 2:
            return None
        variance = max(0.0, self._squares / self.rows - self.mean**2) * self.rows / (self.rows - 1)
        return interval(self.mean, math.sqrt(variance / self.rows))


def standard_error(values: npt.NDArray[Any], groups: npt.NDArray[Any] | None = None) -> float:
    """Return the standard error of the mean of rows, (N,), N >= 2.

    Of rows of two groups or more, given by their marks, (N,), whole groups count: rows of one are alike, and tell less.

    Source: Liang & Zeger, "Longitudinal data analysis using generalized linear models", Biometrika 73, 1986, of a mean.
    """
    sums = values
    if groups is not None:
        sums = np.bincount(np.unique(groups, return_inverse=True)[1], values - values.mean())  # (G,)
    if not 1 < len(sums) < len(values):
        return float(values.std(ddof=1)) / math.sqrt(len(values))
    return math.sqrt(float(sums @ sums) * len(sums) / (len(sums) - 1)) / len(values)


def logit_interval(share: float, rows: int) -> Limits | None:
    """Return the interval of an average precision of as many rows of the class; None for 0 and 1.

    Source: Boyd, Eng & Page, Area under the Precision-Recall Curve, ECML 2013, section 3.2.
    """
    if not 0 < share < 1:
        return None
    middle, reach = math.log(share / (1 - share)), TWO_SIDED / math.sqrt(rows * share * (1 - share))
    low, high = (1 / (1 + math.exp(-min(700.0, max(-700.0, end)))) for end in (middle - reach, middle + reach))
    return low, high


def seen_classes(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which classes of a confusion matrix (K, K) have rows or predictions, (K,); F1 says nothing of others."""
    return np.logical_or(confusion.any(axis=0), confusion.any(axis=1))


def f1_interval(confusion: npt.NDArray[np.int64]) -> Limits | None:
    """Return the interval of the mean F1 of a confusion matrix (K, K), by drawing its rows anew; None without mistakes.

    The mean is over the classes with rows or predictions. The draws are always the same.
    """
    seen = seen_classes(confusion)
    confusion = confusion[np.ix_(seen, seen)]
    rows, classes = int(confusion.sum()), len(confusion)
    if rows == confusion.trace():
        return None
    drawn = np.random.default_rng(0).multinomial(rows, confusion.ravel() / rows, DRAWS).reshape(-1, classes, classes)
    hits = drawn.diagonal(axis1=1, axis2=2)  # (DRAWS, K)
    sums = drawn.sum(axis=1) + drawn.sum(axis=2)
    means = (2 * hits / np.maximum(sums, 1)).mean(axis=1)  # (DRAWS,)
    value = (2 * confusion.diagonal() / np.maximum(confusion.sum(axis=0) + confusion.sum(axis=1), 1)).mean()
    return interval(float(value), float(means.std(ddof=1)), most=1)
