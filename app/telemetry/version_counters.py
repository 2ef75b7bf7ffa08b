"""Count what each model version did, for the Open Inference Protocol and for /metrics.

Counts are plain numbers under labels, so that workers can add up each other's. Times are nanoseconds, the unit of the
clock. This module must not know HTTP or torch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import numpy as np

from app.errors import Outcome
from app.schema import Float32
from app.telemetry.drift import CONFIDENCE_BUCKETS, MAX_FEATURES, RowSample, places_of
from modelstore import Feature

Labels = tuple[str, ...]
Figures = dict[str, dict[Labels, list[float]]]
Stage = Literal["parse", "queue", "compute", "encode"]

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)  # a batch counts under the smallest size that holds it
TIME_BUCKETS_S = (50e-6, 100e-6, 200e-6, 400e-6, 800e-6, 1.6e-3, 3.2e-3, 6.4e-3, 12.8e-3, 25e-3, 50e-3, 0.1, 0.25, 1, 5)
STAGES: tuple[Stage, ...] = ("parse", "queue", "compute", "encode")
OUTCOMES: tuple[Outcome, ...] = ("ok", "client_error", "rejected", "timeout", "cancelled", "error")

REQUESTS = "statistics_requests"  # model, version -> success, its ns, failures, their ns, ns in the queue
BATCHES = "statistics_batches"  # model, version, size -> batches, rows, ns of input, infer and output
LAST = "statistics_last"  # model, version, process -> ms since 1970
ENDS = "statistics_outcomes"  # model, version, outcome -> requests
PREDICTED = "statistics_predicted"  # model, version, class -> rows
CONFIDENCE = "statistics_confidence"  # model, version -> sampled rows by bucket, and the sum of their probabilities
SAMPLED = "statistics_sampled"  # model, version, feature -> counts of sampled rows, see `drift.places_of`
UNUSUAL = "statistics_unusual"  # model, version, feature, missing or unseen -> values
VALUES = "statistics_values"  # model, version -> rows with a quantity as answer, and the sum of their values
OUTSIDE = "statistics_outside"  # model, version -> rows with a warning, see `BatchPredictions.outside`
RECEIPTS = "statistics_receipts"  # model, version, process -> receipts given, and seconds since 1970 of the first
LABELLED = "statistics_labelled"  # model, version -> labels, those that are the answer, sum of squared errors
SHADOWED = "statistics_shadow"  # model, version, shadow -> the numbers of `ShadowCounts`
OF_A_VERSION = (
    *(REQUESTS, BATCHES, LAST, ENDS, PREDICTED, CONFIDENCE, SAMPLED),
    *(UNUSUAL, VALUES, OUTSIDE, RECEIPTS, LABELLED, SHADOWED),
)
TIMES = "statistics_stages"  # model, stage -> requests by bucket, and the sum of their ns

_BOUNDS_NS = np.array([round(bound * 1e9) for bound in TIME_BUCKETS_S])
# Number of times to collect before they are sorted into buckets. NumPy sorts those of a thousand requests at once, in
# 0.1 us for each; one by one it would take over a microsecond.
_MOST_UNSORTED = 4096


class VersionCounts:
    """Counts of one version in this process; the hot path keeps this handle.

    Attributes:
        key: model and version.
        classes: labels by which predictions are counted; empty if there are too many.
        features: features whose values are compared with the training split; empty if they are not known.
    """

    __slots__ = (
        "_batches",
        "_last",
        "_outcomes",
        "_outside",
        "_predicted",
        "_process",
        "_receipts",
        "_requests",
        "_sample",
        "_stages",
        "_unsorted_ns",
        "_unusual",
        "_values",
        "classes",
        "features",
        "key",
    )

    def __init__(
        self,
        figures: Figures,
        key: tuple[str, str],
        process: str,
        classes: tuple[str, ...],
        features: Sequence[Feature],
    ) -> None:
        """Create every series of the version at zero, so that rate() sees the first increment; keep existing ones."""
        self.key = key
        self.classes = classes
        self.features = tuple(features)
        self._sample = _sample(figures, key, classes, features)
        self._unusual, self._values = figures[UNUSUAL], figures[VALUES]
        self._outside = figures[OUTSIDE].setdefault(key, [0.0])
        self._receipts, self._process = figures[RECEIPTS], process
        figures[LABELLED].setdefault(key, [0.0] * 3)
        self._requests = figures[REQUESTS].setdefault(key, [0.0] * 5)
        self._batches = [figures[BATCHES].setdefault((*key, str(size)), [0.0] * 5) for size in SIZES]
        self._last = figures[LAST].setdefault((*key, process), [0.0])
        self._outcomes = {outcome: figures[ENDS].setdefault((*key, outcome), [0.0]) for outcome in OUTCOMES}
        self._predicted = [figures[PREDICTED].setdefault((*key, name), [0.0]) for name in classes]
        none = [0.0] * (len(TIME_BUCKETS_S) + 2)
        self._stages = [figures[TIMES].setdefault((key[0], stage), [*none]) for stage in STAGES]
        self._unsorted_ns: list[int] = []

    def ran(self, *, requests: int, rows: int, times_ns: tuple[int, int, int]) -> None:
        """Count requests that were computed in one batch.

        Args:
            requests: number of requests; 0 for a part of a request that is not its last.
            rows: rows of the batch.
            times_ns: times of preparing the input, of the forward pass and of splitting the output.
        """
        counts, batches = self._requests, self._batches[min((rows - 1).bit_length(), len(SIZES) - 1)]
        input_ns, infer_ns, output_ns = times_ns
        batches[0] += 1
        batches[1] += rows
        batches[2] += input_ns
        batches[3] += infer_ns
        batches[4] += output_ns
        counts[0] += requests
        counts[1] += (requests or 1) * (input_ns + infer_ns + output_ns)
        self._last[0] = time.time() * 1e3

    def count_predictions(self, winner: int, rows: int) -> None:
        """Count rows whose most probable class is the one with index `winner`."""
        self._predicted[winner][0] += rows

    def count_sample(self, x: Float32, probabilities: Float32) -> None:
        """Add some of the computed rows, shape (N, W), and of their probabilities, shape (N, K), to the sample."""
        if self._sample is not None:
            self._sample.add(x, probabilities)

    def count_unusual(self, feature: str, kind: Literal["missing", "unseen"], values: int) -> None:
        """Count values of a feature that were missing, or were not among its categories."""
        if values:
            self._unusual.setdefault((*self.key, feature, kind), [0.0])[0] += values

    def count_values(self, rows: int, total: float) -> None:
        """Count rows with a quantity as answer, and the sum of their values."""
        counts = self._values.setdefault(self.key, [0.0, 0.0])
        counts[0] += rows
        counts[1] += total

    def count_outside(self, rows: int) -> None:
        """Count rows with a value that gets a warning."""
        self._outside[0] += rows

    def count_receipts(self, rows: int) -> None:
        """Count receipts that were given."""
        self._receipts.setdefault((*self.key, self._process), [0.0, float(int(time.time()))])[0] += rows

    def count_failures(self, *, requests: int, took_ns: int) -> None:
        """Count requests that were refused because of a full queue or a passed deadline, or whose batch failed."""
        self._requests[2] += requests
        self._requests[3] += requests * took_ns

    def count_answer(self, times_ns: tuple[int, int, int, int]) -> None:
        """Count an answered request and its time in each of the `STAGES`; it shows in the figures after `sort`."""
        self._unsorted_ns += times_ns
        if len(self._unsorted_ns) >= _MOST_UNSORTED:
            self.sort()

    def sort(self) -> None:
        """Sort the times of all requests since the last call into buckets, and add them to the sums."""
        if self._sample is not None:
            self._sample.sort()
        if not self._unsorted_ns:
            return
        times_ns = np.array(self._unsorted_ns).reshape(-1, len(STAGES))
        self._unsorted_ns = []
        sums_ns: list[int] = times_ns.sum(axis=0).tolist()
        buckets = np.searchsorted(_BOUNDS_NS, times_ns).T
        for counts, places, sum_ns in zip(self._stages, buckets, sums_ns, strict=True):
            for place, count in enumerate(np.bincount(places).tolist()):
                counts[place] += count
            counts[-1] += sum_ns
        for place in (1, 4):
            self._requests[place] += sums_ns[STAGES.index("queue")]
        self._outcomes["ok"][0] += len(times_ns)

    def count_end(self, outcome: Outcome) -> None:
        """Count a request that ended with another outcome than an answer."""
        self._outcomes[outcome][0] += 1


class ShadowCounts:
    """Counts of a version and its shadow in this process: rows compared, the same answer, distance, failed, dropped."""

    __slots__ = ("_counts",)

    def __init__(self, counts: list[float]) -> None:
        self._counts = counts

    def count_compared(self, rows: int, same: int, distance: float) -> None:
        """Count compared rows, those with the same answer, and the sum of the absolute differences of quantities."""
        counts = self._counts
        counts[:3] = [counts[0] + rows, counts[1] + same, counts[2] + distance]

    def count_failed(self, rows: int) -> None:
        """Count rows that the shadow could not answer."""
        self._counts[3] += rows

    def count_dropped(self, rows: int) -> None:
        """Count rows for which the queue had no room."""
        self._counts[4] += rows


def _sample(
    figures: Figures, key: tuple[str, str], classes: tuple[str, ...], features: Sequence[Feature]
) -> RowSample | None:
    """Return a row sample for a version, or None if its features are unknown or too many."""
    if not 0 < len(features) <= MAX_FEATURES:
        return None
    by_decile = [figures[SAMPLED].setdefault((*key, each.name), [0.0] * places_of(each)) for each in features]
    if not classes:
        return RowSample(features, 0, by_decile, [])
    by_confidence = figures[CONFIDENCE].setdefault(key, [0.0] * (len(CONFIDENCE_BUCKETS) + 2))
    return RowSample(features, len(classes), by_decile, by_confidence)
