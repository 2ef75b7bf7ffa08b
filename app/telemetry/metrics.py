"""Count what the service does, in plain Python.

prometheus_client takes 1 to 3 us for each count and needs its own files to add up workers. This module takes 0.2 us,
and workers read each other's snapshots. Label values come from the route table and the store only, never from client
input, so their number is bounded. `version_counters.py` counts what each version did, `exposition.py` shows the sum.
This module must not import an HTTP framework or torch.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Mapping
from typing import get_args

from app.telemetry.counts_by_version import CountsByVersion
from app.telemetry.metric_families import FAMILIES
from app.telemetry.prometheus import Labels
from app.telemetry.version_counters import BATCHES, LABELLED, TIME_BUCKETS_S, Figures
from modelstore import Reason

REQUESTS = "tabserve_http_requests_total"
DURATIONS = "tabserve_http_request_duration_seconds"
JOBS = "tabserve_train_jobs_total"
JOB_DURATIONS = "tabserve_train_job_duration_seconds"
SWAPS = "tabserve_model_swaps_total"
FEEDBACK = "tabserve_feedback_total"
KEPT_INPUTS = "tabserve_kept_inputs_total"
IN_PROGRESS = "tabserve_http_requests_in_progress"
WAITING = "tabserve_http_requests_waiting"
QUEUE = "tabserve_queue_rows"

COUNTED = (REQUESTS, DURATIONS, JOBS, JOB_DURATIONS, SWAPS, FEEDBACK, KEPT_INPUTS)
# Exported from the start: Prometheus sees no increase in a series that begins with its first event.
FROM_ZERO: Mapping[str, tuple[str, ...]] = {
    SWAPS: ("served", "refused", "withdrawn", "replaced"),
    JOBS: get_args(Reason),
    FEEDBACK: ("taken", "repeated", "refused"),
    KEPT_INPUTS: ("kept", "lost"),
}
OF_NOW = (IN_PROGRESS, WAITING, QUEUE)  # gauges, which do not outlive their worker

Snapshot = Figures


class RequestFigures:
    """Counts of one route and method; the hot path keeps this handle."""

    __slots__ = ("_buckets", "_codes")

    def __init__(self, codes: dict[int, list[float]], buckets: list[float]) -> None:
        self._codes = codes
        self._buckets = buckets

    def count(self, code: int, seconds: float) -> None:
        """Count one answered request."""
        self._codes[code][0] += 1
        self._buckets[bisect_left(TIME_BUCKETS_S, seconds)] += 1
        self._buckets[-1] += seconds


class ServingMetrics:
    """Metrics of one app; two apps in one process do not share them.

    Attributes:
        in_progress: requests that this process is answering.
        waiting: requests that wait for their client, for a training or for the job table (`in_flight.py`).
        statistics: counts of each version.
    """

    def __init__(self) -> None:
        self.in_progress = 0
        self.waiting = 0
        self.statistics = CountsByVersion()
        self._figures: Snapshot = {name: {} for name in COUNTED}
        for name, values in FROM_ZERO.items():
            for value in values:
                self._counter(name, (value,))
        self._requests: dict[tuple[str, str], RequestFigures] = {}

    def requests(self, route: str, method: str) -> RequestFigures:
        """Return the counts of a route template (never a raw path) and method."""
        key = (route, method)
        if key not in self._requests:
            codes = _ByCode(self._figures[REQUESTS], key)
            self._requests[key] = RequestFigures(codes, self._histogram(DURATIONS, key))
        return self._requests[key]

    def count_successes(self, routes: Container[str]) -> float:
        """Return how many requests of the given routes were answered successfully."""
        counts = self._figures[REQUESTS].items()
        return sum(count for (route, _, code), (count,) in counts if route in routes and code.startswith("2"))

    def batches(self) -> float:
        """Return how many batches of rows were computed; a request of many rows takes many."""
        return sum(counts[0] for counts in self.statistics.figures[BATCHES].values())

    def count_job(self, reason: str, ran_s: float | None = None) -> None:
        """Count a training job that ended, and its duration if it had started."""
        self._counter(JOBS, (reason,))[0] += 1
        if ran_s is not None:
            buckets = self._histogram(JOB_DURATIONS, (reason,))
            buckets[bisect_left(FAMILIES[JOB_DURATIONS].buckets, ran_s)] += 1
            buckets[-1] += ran_s

    def count_swap(self, result: str) -> None:
        """Count a swap by its result: `served`, `refused`, `withdrawn` or `replaced`; see `ModelRegistry`."""
        self._counter(SWAPS, (result,))[0] += 1

    def count_feedback(self, result: str, items: int) -> None:
        """Count items of feedback by what became of them: `taken`, `repeated` or `refused`."""
        self._counter(FEEDBACK, (result,))[0] += items

    def count_inputs(self, result: str, rows: int) -> None:
        """Count rows whose inputs were to be kept: `kept`, or `lost` as the database could not be written in time."""
        self._counter(KEPT_INPUTS, (result,))[0] += rows

    def count_label(self, name: str, version: int, *, right: bool = False, squared_error: float = 0.0) -> None:
        """Count a label: whether it is the class that was answered, or the squared error of a quantity."""
        counts = self.statistics.figures[LABELLED].setdefault((name, str(version)), [0.0] * 3)
        counts[:] = [counts[0] + 1, counts[1] + right, counts[2] + squared_error]

    def snapshot(self) -> Snapshot:
        """Return all that this process has counted; the figures may change independently while they are read."""
        of_now: Snapshot = {IN_PROGRESS: {(): [self.in_progress]}, WAITING: {(): [self.waiting]}}
        return self._figures | self.statistics.figures | of_now

    def inherit(self, figures: Snapshot) -> None:
        """Add the counts of a process that has ended; call this before anything is counted here."""
        for name in COUNTED:
            for labels, values in figures.get(name, {}).items():
                own = self._figures[name].setdefault(labels, [0.0] * len(values))
                own[:] = [a + b for a, b in zip(own, values, strict=True)]
        self.statistics.inherit(figures)

    def _counter(self, name: str, labels: Labels) -> list[float]:
        return self._figures[name].setdefault(labels, [0.0])

    def _histogram(self, name: str, labels: Labels) -> list[float]:
        """Return the counts by bucket, then the count beyond the last bound, then the sum of the values."""
        return self._figures[name].setdefault(labels, [0.0] * (len(FAMILIES[name].buckets) + 2))


class _ByCode(dict[int, list[float]]):
    """Map a status code to its count, which is created when the code first occurs."""

    def __init__(self, counts: dict[Labels, list[float]], key: tuple[str, str]) -> None:
        super().__init__()
        self._counts = counts
        self._key = key

    def __missing__(self, code: int) -> list[float]:
        self[code] = count = self._counts.setdefault((*self._key, str(code)), [0.0])
        return count
