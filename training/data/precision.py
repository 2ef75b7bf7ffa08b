"""Detect distinct values of a column that become equal in float32."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

EXACT_INTEGERS = 2**24  # float32 holds every whole number up to here
EXACT_IN_FLOAT64 = 2**53
STEPS = 2.0**22  # steps of a decimal grid up to the largest value; float32 resolves twice as many
OFF_THE_GRID = 1e-6  # fraction of a step
MOST_DECIMALS = 37
CHECKED_ROWS = 200_000  # limit for decimals; whole numbers are all checked
MANY = 0.01

Values = npt.NDArray[np.floating[Any] | np.integer[Any]]


class Merging:
    """Counts rows of one column whose values become equal in float32 to a different value added in the same call.

    Whole numbers are identifiers, times or counts, so even one pair is reported. Some numbers with many decimals always
    become equal, which is harmless; they are reported only if they are many.
    """

    def __init__(self) -> None:
        self._rows = 0  # checked rows
        self._merged = 0
        self._example: tuple[float, float] | None = None

    def add(self, values: Values, rows: npt.NDArray[np.int64] | None = None) -> None:
        """Check finite values, shape (n,); `rows` is the number of rows of each value, one each if absent."""
        if values.dtype.kind == "f" and self._rows >= CHECKED_ROWS:
            return
        self._rows += len(values) if rows is None else int(rows.sum())
        if len(values) < 2 or _surely_distinct(values):
            return
        order = values.argsort()
        ascending = values[order]
        rounded = ascending.astype(np.float32)
        equal = rounded[1:] == rounded[:-1]
        differ = equal & (ascending[1:] != ascending[:-1])
        if not differ.any():
            return
        group = np.concatenate([[0], np.cumsum(~equal)])  # (n,), the same number for values that become equal
        counts = np.bincount(group, weights=None if rows is None else rows[order])
        self._merged += int(counts[np.unique(group[1:][differ])].sum())
        if self._example is None:
            first = int(differ.argmax())
            self._example = ascending[first].item(), ascending[first + 1].item()

    def problem(self) -> str | None:
        """Return a warning about the column, or None."""
        if self._example is None:
            return None
        low, high = self._example
        if self._merged < MANY * self._rows and not (float(low).is_integer() and float(high).is_integer()):
            return None
        return (
            f"in {self._merged} of {self._rows} rows different values become equal in float32, such as {_show(low)} "
            f"and {_show(high)}; subtract an offset if it is a quantity, leave it out if it is an identifier"
        )


def exact(texts: list[str], values: npt.NDArray[np.float64]) -> Values:
    """Return the numbers of the texts, shape (n,); as int64 if they are whole and beyond float64's precision."""
    if not len(values) or np.abs(values).max() <= EXACT_IN_FLOAT64:
        return values
    try:
        return np.array([int(text) for text in texts], dtype=np.int64)
    except (ValueError, OverflowError):
        return values


def _surely_distinct(values: Values) -> bool:
    """Return True if float32 certainly distinguishes these values; decided without sorting, so False means unknown."""
    largest = max(abs(float(values.min())), abs(float(values.max())))
    if values.dtype.kind != "f" or not largest:
        return largest <= EXACT_INTEGERS
    scaled = values * 10.0 ** min(math.floor(math.log10(STEPS) - math.log10(largest)), MOST_DECIMALS)
    return bool((np.abs(scaled - np.rint(scaled)) < OFF_THE_GRID).all())


def _show(value: float) -> str:
    return f"{value:.17g}" if isinstance(value, float) else str(value)
