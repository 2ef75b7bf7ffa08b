"""Measure drift from the training split and confidence of answers on a sample of rows.

N is rows, F features and K classes. This module must not know HTTP or torch.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from app.schema import Float32
from modelstore import BooleanFeature, CategoricalFeature, Feature

DECILES = 9  # deciles of each feature's training values
BINS = DECILES + 1  # bins between the deciles
PLACES = 2 + 2 * DECILES  # of a feature: rows with a value, those below and up to each decile, rows without a value
CONFIDENCE_BUCKETS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
MAX_FEATURES = 100  # models with more features are not sampled
SAMPLED_ROWS = 256  # rows to sort in one go, as each NumPy call costs microseconds; at most so many of one forward pass
WINDOW_ROWS = 10_000  # beyond this number of rows in a process, all counts are halved
LEAST_ROWS = 1000  # with fewer rows, chance alone could look like drift

PAUSE_S = 0.1  # between two sorts that a request waits for; rows that find the buffer full earlier are not sampled

_CODED = (CategoricalFeature, BooleanFeature)
_LEAST_SHARE = 1e-4  # share of an empty bin, whose logarithm would be infinite
_BOUNDS = np.array(CONFIDENCE_BUCKETS, dtype=np.float32)


class RowSample:
    """Sort rows by the deciles of the training split, and answers by the probability of the most probable class."""

    __slots__ = (
        "_by_code",
        "_by_confidence",
        "_by_decile",
        "_cells",
        "_deciles",
        "_held",
        "_pause_s",
        "_probabilities",
        "_sort_from_s",
        "_x",
    )

    def __init__(
        self,
        features: Sequence[Feature],
        classes: int,
        by_decile: Sequence[list[float]],
        by_confidence: list[float],
        pause_s: float = PAUSE_S,
    ) -> None:
        """Create an empty buffer in front of existing counts.

        Args:
            features: features with the deciles of their training values, length F.
            classes: number of classes, K; 0 for a quantity.
            by_decile: counts of each feature, of length `places_of`, updated in place; length F.
            by_confidence: rows by bucket, rows beyond the last, and the sum of the probabilities; updated in place.
            pause_s: see `PAUSE_S`.
        """
        starts = itertools.accumulate((feature.width for feature in features), initial=0)
        placed = list(zip(features, starts, by_decile, strict=False))
        sorted_ = [(each, cell, counts) for each, cell, counts in placed if not isinstance(each, _CODED)]
        self._deciles = np.array([each.quantiles for each, _, _ in sorted_], dtype=np.float32).T  # (9, F)
        self._cells = [cell for _, cell, _ in sorted_]
        self._by_decile = [counts for _, _, counts in sorted_]
        self._by_code = [(cell, counts) for each, cell, counts in placed if isinstance(each, _CODED)]
        self._by_confidence = by_confidence
        self._pause_s = pause_s
        self._sort_from_s = 0.0
        self._held = 0
        self._x = np.empty((SAMPLED_ROWS, sum(feature.width for feature in features)), dtype=np.float32)
        self._probabilities = np.empty((SAMPLED_ROWS, classes), dtype=np.float32)

    def add(self, x: Float32, probabilities: Float32) -> None:
        """Add rows (N, W) and answers (N, K), float32; confidence is counted only of those that are finite."""
        rows = len(x)
        if rows > SAMPLED_ROWS:
            step = -(-rows // SAMPLED_ROWS)
            x, probabilities = x[::step], probabilities[::step]
            rows = len(x)
        start, stop = self._held, self._held + rows
        if stop > SAMPLED_ROWS:
            now_s = time.monotonic()
            if now_s < self._sort_from_s:
                return
            self._sort_from_s = now_s + self._pause_s
            self.sort()
            start, stop = 0, rows
        self._x[start:stop] = x
        if self._probabilities.shape[1]:
            self._probabilities[start:stop] = probabilities
        self._held = stop

    def sort(self) -> None:
        """Sort the rows that were added since the last call into the counts."""
        rows, self._held = self._held, 0
        if not rows:
            return
        self._sort_features(self._x[:rows])
        if not self._probabilities.shape[1]:
            return
        probabilities = self._probabilities[:rows]
        winning = probabilities[np.isfinite(probabilities).all(axis=1)].max(axis=1)
        for place, count in enumerate(np.bincount(np.searchsorted(_BOUNDS, winning)).tolist()):
            self._by_confidence[place] += count
        self._by_confidence[-1] += float(winning.sum(dtype=np.float64))

    def _sort_features(self, x: Float32) -> None:
        for cell, by_code in self._by_code:
            _sort_codes(x[:, cell], by_code)
        if not self._cells:
            return
        x = x[:, self._cells]
        values = x[:, np.newaxis, :]
        below, up_to = ((side(values, self._deciles)).sum(axis=0) for side in (np.less, np.less_equal))  # (9, F)
        missing = np.isnan(x).sum(axis=0, keepdims=True)  # (1, F)
        counts = np.concatenate((len(x) - missing, below, up_to, missing)).T  # (F, PLACES)
        totals = np.array(self._by_decile) + counts
        totals[totals[:, 0] + totals[:, -1] > WINDOW_ROWS] *= 0.5
        for by_decile, total in zip(self._by_decile, totals.tolist(), strict=True):
            by_decile[:] = total


def places_of(feature: Feature) -> int:
    """Return the number of counts of a feature: rows by code and rows without a value, or those of `PLACES`."""
    if isinstance(feature, CategoricalFeature):
        return 1 + len(feature.categories) + 2  # rows, each category, other, missing
    return 1 + 3 if isinstance(feature, BooleanFeature) else PLACES


def drift_of(feature: Feature, counts: Sequence[float], training_rows: int | None) -> float | None:
    """Return the population stability index of a feature, at least 0; None below LEAST_ROWS rows.

    Args:
        feature: the feature, with the counts or deciles of its training values.
        counts: counts of the sample, of length `places_of`.
        training_rows: rows of the training split; None if it is not known, and then missing numbers and dates count as
            little as if they were not there.
    """
    if isinstance(feature, CategoricalFeature):
        return _index_of_codes(counts, (*feature.categories.values(), feature.other, feature.missing))
    if isinstance(feature, BooleanFeature):
        return _index_of_codes(counts, (feature.false, feature.true, feature.missing))
    missing = feature.missing / training_rows if training_rows else 0.0
    if feature.missing and not training_rows:
        counts = [*counts[:-1], 0.0]
    return population_stability_index(counts, missing)


def _index_of_codes(counts: Sequence[float], trained: Sequence[int]) -> float | None:
    rows, of_training = counts[0], sum(trained)
    if rows < LEAST_ROWS or not of_training:
        return None
    return _divergence((count / rows, each / of_training) for count, each in zip(counts[1:], trained, strict=True))


def _divergence(shares: Iterable[tuple[float, float]]) -> float:
    """Return the sum of (o - e) ln(o / e) over observed and expected shares; an empty bin counts as a small one."""
    floored = ((max(observed, _LEAST_SHARE), max(expected, _LEAST_SHARE)) for observed, expected in shares)
    return sum((observed - expected) * math.log(observed / expected) for observed, expected in floored)


def _sort_codes(codes: Float32, counts: list[float]) -> None:
    missing = np.isnan(codes)
    places = np.where(missing, len(counts) - 2, codes).astype(np.intp)
    for place, count in enumerate(np.bincount(places, minlength=len(counts) - 1).tolist(), start=1):
        counts[place] += count
    counts[0] += len(codes)
    if counts[0] > WINDOW_ROWS:
        counts[:] = [0.5 * count for count in counts]


def population_stability_index(by_decile: Sequence[float], missing: float = 0.0) -> float | None:
    """Return the population stability index of a feature, at least 0; None below LEAST_ROWS rows.

    The index is the sum of (o - e) ln(o / e), where o is the observed and e the expected share of rows, over the rows
    without a value and the ten bins between the deciles, of which each is expected to have a tenth of the others. Below
    0.1 means no change, above 0.25 a large one (N. Siddiqi, Credit Risk Scorecards, 2006). Rows equal to a decile, such
    as whole numbers and frequent values, are divided between the bins on both sides of it so that the shares come as
    close to the expected ones as possible.

    Args:
        by_decile: rows with a value, those below each decile, those up to each decile, rows without; length `PLACES`.
        missing: expected share of rows without a value, 0 to 1.
    """
    present, without = by_decile[0], by_decile[-1]
    rows = present + without
    if rows < LEAST_ROWS:
        return None
    below, up_to = by_decile[1 : DECILES + 1], by_decile[DECILES + 1 : -1]
    expected = (present * (number + 1) / BINS for number in range(DECILES))
    bounds = (min(max(each, low), high) for each, low, high in zip(expected, below, up_to, strict=True))
    bins = [high - low for low, high in pairwise((0.0, *bounds, present))]
    return _divergence([(without / rows, missing), *((each / rows, (1 - missing) / BINS) for each in bins)])
