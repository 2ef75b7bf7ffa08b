"""How far requests are from the training rows, and how sure the answers are, by a sample of rows; no HTTP, no torch.

N is rows, F features and K classes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from app.schema import Float32
from modelstore import Feature

DECILES = 9  # of each feature's training values
BINS = DECILES + 1  # between them
PLACES = 1 + 2 * DECILES  # for each feature: rows, rows below each decile, rows up to each decile
CONFIDENCE_BUCKETS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
MAX_FEATURES = 100  # of a model whose rows are sampled
SAMPLED_ROWS = 64  # of a forward pass, evenly spread; of one with fewer rows all
WINDOW_ROWS = 10_000  # with so many in a process, those before count half
LEAST_ROWS = 1000  # with fewer, chance alone could look like drift

PAUSE_S = 0.1  # between two sortings that a request waits for; what comes earlier and finds no room is not sampled

_HELD_ROWS = 256  # are sorted together: NumPy costs microseconds a call
_LEAST_SHARE = 1e-4  # of an empty bin, whose logarithm would be infinite
_BOUNDS = np.array(CONFIDENCE_BUCKETS, dtype=np.float32)


class RowSample:
    """Sorts rows into the deciles of the training split, and answers by the probability of the most probable class."""

    __slots__ = (
        "_by_confidence",
        "_by_decile",
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
        """Store the parts.

        Args:
            features: with the deciles of their training values, length F.
            classes: how many, K.
            by_decile: for each feature what `population_stability_index` wants, which is added to; length F.
            by_confidence: rows by bucket, those beyond all, and the sum of their probabilities, which are added to.
            pause_s: see `PAUSE_S`.
        """
        self._deciles = np.array([feature.quantiles for feature in features], dtype=np.float32).T  # (9, F)
        self._by_decile = by_decile
        self._by_confidence = by_confidence
        self._pause_s = pause_s
        self._sort_from_s = 0.0
        self._held = 0
        self._x = np.empty((_HELD_ROWS, len(features)), dtype=np.float32)
        self._probabilities = np.empty((_HELD_ROWS, classes), dtype=np.float32)

    def add(self, x: Float32, probabilities: Float32) -> None:
        """Take rows and their answers into the sample.

        Args:
            x: raw features, float32, shape (N, F).
            probabilities: float32, shape (N, K); rows that are not finite say nothing of confidence.
        """
        rows = len(x)
        if rows > SAMPLED_ROWS:
            step = -(-rows // SAMPLED_ROWS)
            x, probabilities = x[::step], probabilities[::step]
            rows = len(x)
        start, stop = self._held, self._held + rows
        if stop > _HELD_ROWS:
            now_s = time.monotonic()
            if now_s < self._sort_from_s:
                return
            self._sort_from_s = now_s + self._pause_s
            self.sort()
            start, stop = 0, rows
        self._x[start:stop] = x
        self._probabilities[start:stop] = probabilities
        self._held = stop

    def sort(self) -> None:
        """Sort what was added since the last call."""
        rows, self._held = self._held, 0
        if not rows:
            return
        self._sort_features(self._x[:rows])
        probabilities = self._probabilities[:rows]
        winning = probabilities[np.isfinite(probabilities).all(axis=1)].max(axis=1)
        for place, count in enumerate(np.bincount(np.searchsorted(_BOUNDS, winning)).tolist()):
            self._by_confidence[place] += count
        self._by_confidence[-1] += float(winning.sum(dtype=np.float64))

    def _sort_features(self, x: Float32) -> None:
        values = x[:, np.newaxis, :]
        below, up_to = ((side(values, self._deciles)).sum(axis=0) for side in (np.less, np.less_equal))  # (9, F)
        counts = np.concatenate((np.full((1, x.shape[1]), len(x)), below, up_to)).T  # (F, PLACES)
        totals = np.array(self._by_decile) + counts
        if totals[0, 0] > WINDOW_ROWS:
            totals *= 0.5
        for by_decile, total in zip(self._by_decile, totals.tolist(), strict=True):
            by_decile[:] = total


def population_stability_index(by_decile: Sequence[float]) -> float | None:
    """Return how far the values of a feature are from the training split, at least 0; None if there are few rows.

    The sum over the ten bins between the deciles of (o - e) ln(o / e), where o is the share of rows that was observed
    and e = 0.1 the share expected; below 0.1 counts as no change, above 0.25 as a great one (N. Siddiqi, Credit Risk
    Scorecards, 2006). Rows that equal a decile, as whole numbers and frequent values do, count to the bins on both
    sides of it so that the shares are as they should be, as far as that is possible.

    Args:
        by_decile: rows, rows below each decile, rows up to each decile; length `PLACES`.
    """
    rows = by_decile[0]
    if rows < LEAST_ROWS:
        return None
    below, up_to = by_decile[1 : DECILES + 1], by_decile[DECILES + 1 :]
    expected = ((number + 1) / BINS for number in range(DECILES))
    bounds = (min(max(share, low / rows), high / rows) for share, low, high in zip(expected, below, up_to, strict=True))
    shares = (max(high - low, _LEAST_SHARE) for low, high in pairwise((0.0, *bounds, 1.0)))
    return sum((share - 1 / BINS) * math.log(share * BINS) for share in shares)
