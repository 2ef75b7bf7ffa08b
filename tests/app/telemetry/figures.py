"""Read the figures that a process shows, by name and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from app.telemetry.counts_by_version import CountsByVersion
from app.telemetry.exposition import Exposition
from app.telemetry.metrics import ServingMetrics
from app.telemetry.model_metrics import ModelState
from app.telemetry.multiprocess import WorkerFigures
from app.telemetry.version_counters import VersionCounts

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]
REQUESTS = "tabserve_http_requests_total"
SECONDS = "tabserve_http_request_duration_seconds"


def text(source: ServingMetrics | WorkerFigures, models: Callable[[], Iterable[ModelState]] = tuple) -> str:
    """Return the page of a process without trainings and keys."""
    shown = WorkerFigures(source, dict) if isinstance(source, ServingMetrics) else source
    page = Exposition(shown, models=models, trainings=dict, keys_current=lambda: True, queue_limit_rows=0)
    return page.text().decode()


def parsed(page: str) -> Figures:
    families = text_string_to_metric_families(page)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def figures(source: ServingMetrics | WorkerFigures) -> Figures:
    return parsed(text(source))


def scraped(client: Any) -> Figures:
    """Return the figures of a service, of which this may be any client."""
    return parsed(client.get("/metrics").text)


def in_progress(client: Any) -> float:
    """Return the number of requests in flight, including this one."""
    return scraped(client)["tabserve_http_requests_in_progress", frozenset()]


def held_up(client: Any) -> float:
    """Return the number of requests that wait for their client or for a training."""
    return scraped(client)["tabserve_http_requests_waiting", frozenset()]


def count(source: ServingMetrics | WorkerFigures, name: str, **labels: str) -> float:
    return figures(source).get((name, frozenset(labels.items())), 0.0)


def busy(requests: int) -> ServingMetrics:
    source = ServingMetrics()
    for _ in range(requests):
        source.requests("/a", "GET").count(200, 0.5)
    source.statistics.version("means", 1).ran(requests=requests, rows=10 * requests, times_ns=(1, 2, 3))
    return source


def ran(counted: CountsByVersion, *, requests: int = 1, rows: int = 1, infer_ns: int = 5) -> None:
    counts(counted).ran(requests=requests, rows=rows, times_ns=(1, infer_ns, 2))


def counts(counted: CountsByVersion, version: int = 3) -> VersionCounts:
    return counted.version("iris", version, ("setosa", "virginica"))
