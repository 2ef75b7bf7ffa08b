"""Where float32, in which networks compute, makes different values of a column equal; it must not know files."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

EXACT_INTEGERS = 2**24  # float32 holds every whole number up to here
EXACT_IN_FLOAT64 = 2**53
STEPS = 2.0**22  # of a decimal grid up to the largest value; float32 tells so many apart, and twice as many
OFF_THE_GRID = 1e-6  # of a step
MOST_DECIMALS = 37
CHECKED_ROWS = 200_000  # of decimals; whole numbers are all checked
MANY = 0.01

Values = npt.NDArray[np.floating[Any] | np.integer[Any]]


class Merging:
    """The rows of one column whose values float32 makes equal to a different one, as far as they stand near each other.

    Whole numbers are identifiers, times or counts, so a single pair of them is told. Of numbers with many digits after
    the point some always fall together, which harms nobody; they are told only if they are many.
    """

    def __init__(self) -> None:
        self._rows = 0  # that were checked
        self._merged = 0
        self._example: tuple[float, float] | None = None

    def add(self, values: Values, rows: npt.NDArray[np.int64] | None = None) -> None:
        """Check some finite values, shape (n,); `rows` says how many rows each stands for, one each if absent."""
        if values.dtype.kind == "f" and self._rows >= CHECKED_ROWS:
            return
        self._rows += len(values) if rows is None else int(rows.sum())
        if len(values) < 2 or _told_apart(values):
            return
        order = values.argsort()
        ascending = values[order]
        rounded = ascending.astype(np.float32)
        equal = rounded[1:] == rounded[:-1]
        differ = equal & (ascending[1:] != ascending[:-1])
        if not differ.any():
            return
        group = np.concatenate([[0], np.cumsum(~equal)])  # (n,), of values that become equal
        counts = np.bincount(group, weights=None if rows is None else rows[order])
        self._merged += int(counts[np.unique(group[1:][differ])].sum())
        if self._example is None:
            first = int(differ.argmax())
            self._example = ascending[first].item(), ascending[first + 1].item()

    def problem(self) -> str | None:
        """Return what a person should know about the column, if anything."""
        if self._example is None:
            return None
        low, high = self._example
        if self._merged < MANY * self._rows and not (float(low).is_integer() and float(high).is_integer()):
            return None
        return (
            f"in {self._merged} of {self._rows} rows different values become equal in float32, such as {_shown(low)} "
            f"and {_shown(high)}; subtract an offset if it is a quantity, leave it out if it is an identifier"
        )


def exact(texts: list[str], values: npt.NDArray[np.float64]) -> Values:
    """Return the numbers that texts stand for, shape (n,); whole ones beyond float64's precision as int64."""
    if not len(values) or np.abs(values).max() <= EXACT_IN_FLOAT64:
        return values
    try:
        return np.array([int(text) for text in texts], dtype=np.int64)
    except (ValueError, OverflowError):
        return values


def _told_apart(values: Values) -> bool:
    """Tell, without sorting, that float32 tells these values apart; False if that cannot be told so."""
    largest = max(abs(float(values.min())), abs(float(values.max())))
    if values.dtype.kind != "f" or not largest:
        return largest <= EXACT_INTEGERS
    scaled = values * 10.0 ** min(math.floor(math.log10(STEPS) - math.log10(largest)), MOST_DECIMALS)
    return bool((np.abs(scaled - np.rint(scaled)) < OFF_THE_GRID).all())


def _shown(value: float) -> str:
    return f"{value:.17g}" if isinstance(value, float) else str(value)
