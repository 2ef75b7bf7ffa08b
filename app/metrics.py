"""The service's own figures, counted in plain Python and shown to Prometheus when it asks; no HTTP framework, no torch.

prometheus_client takes 1 to 3 us for each count and cannot add up workers without files of its own; this takes 0.2 us,
and workers add up by reading each other's snapshots. Label values come from the route table and the store only, never
from what a client sent, so their number is bounded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from app.statistics import Statistics
from modelstore import Manifest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TIME_BUCKETS_S = (50e-6, 100e-6, 200e-6, 400e-6, 800e-6, 1.6e-3, 3.2e-3, 6.4e-3, 12.8e-3, 25e-3, 50e-3, 0.1, 0.25, 1, 5)

Active = tuple[Manifest, int, str]
Labels = tuple[str, ...]
Snapshot = dict[str, dict[Labels, list[float]]]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: its help text and the names of its labels; a histogram has buckets in seconds."""

    help: str
    labels: Labels = ()
    buckets: tuple[float, ...] = ()


FAMILIES = {
    "tabserve_http_requests": Family("Requests answered.", ("route", "method", "code")),
    "tabserve_http_request_duration_seconds": Family(
        "Time from the request's head to the last byte of the answer.", ("route", "method"), TIME_BUCKETS_S
    ),
    "tabserve_inference_rows": Family("Rows answered.", ("model", "version")),
    "tabserve_train_jobs": Family("Training jobs that ended.", ("reason",)),
}
REQUESTS, DURATIONS, ROWS, JOBS = FAMILIES


class RequestFigures:
    """Counts of one route and method; the handle that the hot path keeps."""

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
    """Figures of one app; two apps in one process do not meet."""

    def __init__(self, active: Callable[[], Iterable[Active]]) -> None:
        self.in_progress = 0
        self.statistics = Statistics()
        self._active = active
        self._figures: Snapshot = {name: {} for name in FAMILIES}
        self._requests: dict[tuple[str, str], RequestFigures] = {}
        self.others: Callable[[], Iterable[Snapshot]] = tuple
        self.keys_current: Callable[[], bool] = lambda: True
        self.trainings: Callable[[], Mapping[str, int]] = dict
        self.registry = CollectorRegistry()
        self.registry.register(_Collector(self))
        ProcessCollector(registry=self.registry)

    def requests(self, route: str, method: str) -> RequestFigures:
        """Return the counts of a route template (never a raw path) and method."""
        key = (route, method)
        if key not in self._requests:
            codes = _ByCode(self._figures[REQUESTS], key)
            self._requests[key] = RequestFigures(codes, self._histogram(DURATIONS, key))
        return self._requests[key]

    def rows_answered(self, model: str, version: int, rows: int) -> None:
        """Count rows that a version answered."""
        self._counter(ROWS, (model, str(version)))[0] += rows

    def job_ended(self, reason: str) -> None:
        """Count a training job that ended."""
        self._counter(JOBS, (reason,))[0] += 1

    def snapshot(self) -> Snapshot:
        """Return this process's figures; they change while they are read, each on its own."""
        return self._figures | self.statistics.figures

    def text(self) -> bytes:
        """Return all figures in the Prometheus text format, over all workers."""
        return generate_latest(self.registry)

    def families(self) -> Iterator[Metric]:
        """Yield the figures of all workers, and what is known of the active versions."""
        total = _sum((self._figures, *self.others()))
        for name, family in FAMILIES.items():
            yield _histogram(name, family, total[name]) if family.buckets else _counter(name, family, total[name])
        yield GaugeMetricFamily(
            "tabserve_http_requests_in_progress", "Requests being answered now by this worker.", self.in_progress
        )
        unfinished = GaugeMetricFamily(
            "tabserve_train_jobs_unfinished", "Trainings that wait or run, over all processes.", labels=("status",)
        )
        for status, jobs in self.trainings().items():
            unfinished.add_metric((status,), jobs)
        yield unfinished
        yield GaugeMetricFamily(
            "tabserve_keys_file_ok",
            "Whether the keys are those of the key file, as this worker sees it.",
            self.keys_current(),
        )
        yield from _model_families(self._active())

    def _counter(self, name: str, labels: Labels) -> list[float]:
        return self._figures[name].setdefault(labels, [0.0])

    def _histogram(self, name: str, labels: Labels) -> list[float]:
        """Return counts by bucket, the last for what is beyond all, and then the sum."""
        return self._figures[name].setdefault(labels, [0.0] * (len(FAMILIES[name].buckets) + 2))


class _ByCode(dict[int, list[float]]):
    """Status code to its count, which appears in the figures when the code is first seen."""

    def __init__(self, counts: dict[Labels, list[float]], key: tuple[str, str]) -> None:
        super().__init__()
        self._counts = counts
        self._key = key

    def __missing__(self, code: int) -> list[float]:
        self[code] = count = self._counts.setdefault((*self._key, str(code)), [0.0])
        return count


class _Collector(Collector):
    def __init__(self, metrics: ServingMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.families()


def _sum(snapshots: Iterable[Snapshot]) -> Snapshot:
    total: Snapshot = {name: defaultdict(list) for name in FAMILIES}
    for snapshot in snapshots:
        for name in FAMILIES:
            for labels, figures in list(snapshot.get(name, {}).items()):
                known = total[name][labels] or [0.0] * len(figures)
                total[name][labels] = [a + b for a, b in zip(known, figures, strict=True)]
    return total


def _counter(name: str, family: Family, values: dict[Labels, list[float]]) -> Metric:
    metric = CounterMetricFamily(name, family.help, labels=family.labels)
    for labels, (count,) in values.items():
        metric.add_metric(labels, count)
    return metric


def _histogram(name: str, family: Family, values: dict[Labels, list[float]]) -> Metric:
    metric = HistogramMetricFamily(name, family.help, labels=family.labels)
    bounds = [*map(str, family.buckets), "+Inf"]
    for labels, (*counts, seconds) in values.items():
        buckets = list(zip(bounds, accumulate(counts), strict=True))
        metric.add_metric(labels, buckets=buckets, sum_value=seconds)
    return metric


def _model_families(active: Iterable[Active]) -> Iterator[Metric]:
    info = InfoMetricFamily("tabserve_model", "The version that serves.", labels=("model",))
    evaluation = {
        name: GaugeMetricFamily(f"tabserve_model_{name}", text, labels=("model", "version", "split"))
        for name, text in _EVALUATION_GAUGES.items()
    }
    for manifest, version, device in active:
        value = {"version": str(version), "digest": manifest.sha256, "engine": manifest.platform, "device": device}
        info.add_metric((manifest.name,), value)
        for split, figures in manifest.metrics.items():
            for name, gauge in evaluation.items():
                gauge.add_metric((manifest.name, str(version), split), getattr(figures, name))
    yield info
    yield from evaluation.values()


_EVALUATION_GAUGES = {
    "accuracy": "Share of rows of the split that the active version classifies rightly.",
    "macro_f1": "Mean F1 over the classes on the split.",
    "log_loss": "Mean negative log likelihood on the split, in nats.",
    "brier": "Brier score on the split, 0 to 2.",
    "calibration_error": "Expected calibration error on the split, 15 bins.",
}
