"""The counts of one process: requests, trainings, swaps, and their buckets."""

from __future__ import annotations

import pytest

from app.telemetry.metrics import ServingMetrics
from app.telemetry.version_counters import TIME_BUCKETS_S
from tests.app.telemetry.figures import REQUESTS, SECONDS, count, figures


def test_requests_are_counted_by_route_method_and_code() -> None:
    source = ServingMetrics()
    source.requests("/a", "GET").count(200, 0.001)
    source.requests("/a", "GET").count(200, 0.001)
    source.requests("/a", "GET").count(404, 0.001)
    source.requests("/a", "POST").count(200, 0.001)

    assert count(source, REQUESTS, route="/a", method="GET", code="200") == 2
    assert count(source, REQUESTS, route="/a", method="GET", code="404") == 1
    assert count(source, REQUESTS, route="/a", method="POST", code="200") == 1
    assert count(source, f"{SECONDS}_count", route="/a", method="GET") == 3


@pytest.mark.parametrize(
    ("seconds", "bound"),
    [(0.0, "5e-05"), (50e-6, "5e-05"), (51e-6, "0.0001"), (0.1, "0.1"), (0.11, "0.25"), (5, "5"), (5.1, "+Inf")],
)
def test_duration_falls_into_its_bucket_and_all_above(seconds: float, bound: str) -> None:
    source = ServingMetrics()
    source.requests("/a", "GET").count(200, seconds)

    bounds = [*map(str, TIME_BUCKETS_S), "+Inf"]
    at_most = [count(source, f"{SECONDS}_bucket", route="/a", method="GET", le=le) for le in bounds]
    first = bounds.index(bound)
    assert at_most == [0] * first + [1] * (len(bounds) - first)
    assert count(source, f"{SECONDS}_sum", route="/a", method="GET") == seconds


def ran(source: ServingMetrics, rows: int) -> None:
    source.statistics.version("means", 3).ran(requests=1, rows=rows, times_ns=(0, 0, 0))


def test_rows_and_batches_are_counted() -> None:
    source = ServingMetrics()
    for rows in (40, 2, 1024, 1025):
        ran(source, rows)

    labels = {"model": "means", "version": "3"}
    assert count(source, "tabserve_inference_rows_total", **labels) == 2091
    assert count(source, "tabserve_inference_batches_total", **labels) == 4
    sizes = {le: count(source, "tabserve_batch_rows_bucket", model="means", le=le) for le in ("1", "2", "64", "1024")}
    assert sizes == {"1": 0, "2": 1, "64": 2, "1024": 3}
    assert count(source, "tabserve_batch_rows_bucket", model="means", le="+Inf") == 4
    assert count(source, "tabserve_batch_rows_sum", model="means") == 2091


@pytest.mark.slow
def test_stages_are_shown_in_seconds_over_all_versions() -> None:
    source = ServingMetrics()
    for version in (3, 4):
        source.statistics.version("means", version).count_answer((50_000, 50_001, 2_000_000_000, 6_000_000_000))

    name = "tabserve_inference_stage_duration_seconds"
    first = {"parse": "5e-05", "queue": "0.0001", "compute": "5", "encode": "+Inf"}
    bounds = [*map(str, TIME_BUCKETS_S), "+Inf"]
    for stage, bound in first.items():
        at_most = [count(source, f"{name}_bucket", model="means", stage=stage, le=le) for le in bounds]
        assert at_most == [0] * bounds.index(bound) + [2] * (len(bounds) - bounds.index(bound)), stage
    assert count(source, f"{name}_sum", model="means", stage="compute") == 4
    assert count(source, "tabserve_inference_requests_total", model="means", version="4", outcome="ok") == 1


def test_jobs_and_how_long_they_ran_are_counted() -> None:
    source = ServingMetrics()
    source.count_job("succeeded", 2.0)
    source.count_job("succeeded", 45.0)
    source.count_job("cancelled")

    assert count(source, "tabserve_train_jobs_total", reason="succeeded") == 2
    assert count(source, "tabserve_train_jobs_total", reason="cancelled") == 1
    name = "tabserve_train_job_duration_seconds"
    at_most = {le: count(source, f"{name}_bucket", reason="succeeded", le=le) for le in ("1", "2", "30", "60")}
    assert at_most == {"1": 0, "2": 1, "30": 1, "60": 2}
    assert count(source, f"{name}_sum", reason="succeeded") == 47
    assert count(source, f"{name}_count", reason="cancelled") == 0


def test_handle_of_a_route_is_kept() -> None:
    source = ServingMetrics()

    assert source.requests("/a", "GET") is source.requests("/a", "GET")
    assert source.requests("/a", "GET") is not source.requests("/a", "POST")


def test_labels_are_counted_by_version_and_items_by_result() -> None:
    source = ServingMetrics()
    source.count_feedback("taken", 3)
    source.statistics.version("means", 5)
    source.count_label("means", 4, right=True)
    source.count_label("means", 4, right=False)
    source.count_label("house", 1, squared_error=2.25)

    assert count(source, "tabserve_feedback_total", result="taken") == 3
    assert count(source, "tabserve_feedback_total", result="refused") == 0
    assert count(source, "tabserve_feedback_labels_total", model="means", version="4") == 2
    assert count(source, "tabserve_feedback_right_total", model="means", version="4") == 1
    assert figures(source)["tabserve_feedback_labels_total", frozenset({"model": "means", "version": "5"}.items())] == 0
    assert count(source, "tabserve_feedback_squared_error_total", model="house", version="1") == 2.25


def test_rare_events_are_counted_from_zero_so_that_the_first_one_is_an_increase() -> None:
    shown = ServingMetrics()

    assert count(shown, "tabserve_model_swaps_total", result="withdrawn") == 0
    assert count(shown, "tabserve_train_jobs_total", reason="out_of_memory") == 0
    shown.count_swap("withdrawn")
    assert count(shown, "tabserve_model_swaps_total", result="withdrawn") == 1
