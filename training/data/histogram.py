"""Count numbers in bins with round edges, over any number of blocks and in bounded memory.

It must not know columns or files.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from modelstore import Histogram
from modelstore.dates import FIRST_DAY, LAST_DAY, parse_date
from modelstore.numbers import parse_number

MOST_BINS = 12
FINE_BINS = 1000  # within the range of the values while they are counted, at least; of these, the bins are sums
FIRST_S, LAST_S = 86_400 * FIRST_DAY, 86_400 * LAST_DAY + 86_399  # the first and the last second of a date, since 1970
TOLERANCE = 1e-9  # of a fine bin: 0.3 / 0.1 is below 3 in floating point, and counts as 3

_ULPS = 4 * np.finfo(np.float64).eps
_SMALLEST = -300  # power of ten


class RunningHistogram:
    """Counts in fine bins, whose width is a power of ten; exact for any order of the blocks.

    The width grows as the values spread, tenfold or a power of it, so that each new bin is the sum of old ones.
    """

    def __init__(self) -> None:
        self._power = _SMALLEST  # the width is 10 ** power
        self._rows: dict[int, int] = {}  # by place: rows with place * width <= value < (place + 1) * width
        self._low, self._high = math.inf, -math.inf

    def add(self, values: npt.NDArray[Any], rows: npt.NDArray[np.int64] | None = None) -> None:
        """Add values, shape (n,), of which those that are not finite are ignored; `rows` is how often each occurs."""
        known = np.isfinite(values)
        values, rows = values[known].astype(np.float64), None if rows is None else rows[known]
        if not len(values):
            return
        self._low, self._high = min(self._low, float(values.min())), max(self._high, float(values.max()))
        self._widen()
        places = self._places(values)
        first = int(places.min())
        counts = np.bincount(places - first, weights=rows)
        for at in np.flatnonzero(counts).tolist():
            self._rows[first + at] = self._rows.get(first + at, 0) + int(counts[at])

    def add_texts(self, rows: Mapping[str, int], value: Callable[[str], float]) -> None:
        """Add texts, each with its number of rows; `value` is not finite for a text without a value."""
        numbers = np.array([value(text) for text in rows], dtype=np.float64)
        self.add(numbers, np.array(list(rows.values()), dtype=np.int64))

    def result(self, *, whole: bool = False, dates: bool = False) -> Histogram | None:
        """Return at most 12 bins of equal width, which is 1, 2 or 5 times a power of ten; None without values.

        Args:
            whole: all values are whole numbers, so no bin is narrower than 1.
            dates: the values are days since 1970-01-01; edges are ISO 8601 texts, within the years 1 to 9999.
        """
        if not self._rows:
            return None
        low, high = min(self._rows), max(self._rows)
        least = 10**-self._power if whole and self._power < 0 else 1  # perhaps beyond int64, as 10**300 for zeros alone
        steps = (step * 10**power for power in itertools.count() for step in (1, 2, 5))
        factor = next(step for step in steps if step >= least and high // step - low // step < MOST_BINS)
        first = low // factor
        counts = [0] * (high // factor - first + 1)
        for place, rows in self._rows.items():
            counts[place // factor - first] += rows
        edges = [float(f"{(first + at) * factor}e{self._power}") for at in range(len(counts) + 1)]
        shown = tuple(map(_iso, edges)) if dates else tuple(edges)
        return Histogram(edges=shown, rows=tuple(counts))

    def _widen(self) -> None:
        """Make the bins as wide as the range and the size of the values need."""
        size = max(abs(self._low), abs(self._high))
        width = max((self._high - self._low) / (2 * FINE_BINS), size * 2**-48)
        power = max(self._power, _SMALLEST if width == 0 else math.ceil(math.log10(width)))
        if power > self._power:
            found, self._rows = self._rows, {}
            factor = 10 ** (power - self._power)
            for place, rows in found.items():
                self._rows[place // factor] = self._rows.get(place // factor, 0) + rows
        self._power = power

    def _places(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        scaled = values / 10.0**self._power if self._power >= 0 else values * 10.0**-self._power
        places: npt.NDArray[np.int64] = np.floor(scaled + np.maximum(TOLERANCE, _ULPS * np.abs(scaled))).astype(
            np.int64
        )
        return places


def number_in(reading: str) -> Callable[[str], float]:
    """Return the function that gives the number of a text in a reading, infinity if it is none or beyond float64."""

    def value(text: str) -> float:
        """Return the number of a text, or infinity."""
        found = parse_number(text, reading)
        return math.inf if found is None else found

    return value


def days_in(pattern: str) -> Callable[[str], float]:
    """Return the function that gives the days since 1970-01-01 of a date in a pattern, NaN if it is none."""

    def value(text: str) -> float:
        """Return the days of a date, or NaN."""
        found = parse_date(text, pattern)
        return math.nan if found is None else found[0] + found[1] / 86_400

    return value


def _iso(days: float) -> str:
    seconds = min(max(round(days * 86_400), FIRST_S), LAST_S)  # a round edge may lie beyond all dates
    moment = datetime(1970, 1, 1) + timedelta(seconds=seconds)
    return moment.date().isoformat() if seconds % 86_400 == 0 else moment.isoformat()
