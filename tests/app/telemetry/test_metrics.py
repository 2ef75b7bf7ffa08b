"""The figures by themselves: counts, buckets, and sums over workers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.telemetry.exposition import Exposition, Gauges
from app.telemetry.metric_families import FAMILIES, ModelState
from app.telemetry.metrics import ServingMetrics
from app.telemetry.multiprocess import SharedFigures
from app.telemetry.prometheus import CONTENT_TYPE
from app.telemetry.version_counters import TIME_BUCKETS_S

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]
REQUESTS = "tabserve_http_requests_total"
SECONDS = "tabserve_http_request_duration_seconds"


def metrics() -> ServingMetrics:
    return ServingMetrics()


def figures(source: ServingMetrics | Exposition) -> Figures:
    return parsed(text_of(source))


def text_of(source: ServingMetrics | Exposition) -> str:
    return (Exposition(source) if isinstance(source, ServingMetrics) else source).text().decode()


def parsed(text: str) -> Figures:
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def count(source: ServingMetrics | Exposition, name: str, **labels: str) -> float:
    return figures(source).get((name, frozenset(labels.items())), 0.0)


def test_requests_are_counted_by_route_method_and_code() -> None:
    source = metrics()
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
    source = metrics()
    source.requests("/a", "GET").count(200, seconds)

    bounds = [*map(str, TIME_BUCKETS_S), "+Inf"]
    at_most = [count(source, f"{SECONDS}_bucket", route="/a", method="GET", le=le) for le in bounds]
    first = bounds.index(bound)
    assert at_most == [0] * first + [1] * (len(bounds) - first)
    assert count(source, f"{SECONDS}_sum", route="/a", method="GET") == seconds


def ran(source: ServingMetrics, rows: int) -> None:
    source.statistics.version("means", 3).ran(requests=1, rows=rows, times_ns=(0, 0, 0))


def test_rows_and_batches_are_counted() -> None:
    source = metrics()
    for rows in (40, 2, 1024, 1025):
        ran(source, rows)

    labels = {"model": "means", "version": "3"}
    assert count(source, "tabserve_inference_rows_total", **labels) == 2091
    assert count(source, "tabserve_inference_batches_total", **labels) == 4
    sizes = {le: count(source, "tabserve_batch_rows_bucket", model="means", le=le) for le in ("1", "2", "64", "1024")}
    assert sizes == {"1": 0, "2": 1, "64": 2, "1024": 3}
    assert count(source, "tabserve_batch_rows_bucket", model="means", le="+Inf") == 4
    assert count(source, "tabserve_batch_rows_sum", model="means") == 2091


def test_stages_are_shown_in_seconds_over_all_versions() -> None:
    source = metrics()
    for version in (3, 4):
        source.statistics.version("means", version).answered((50_000, 50_001, 2_000_000_000, 6_000_000_000))

    name = "tabserve_inference_stage_duration_seconds"
    first = {"parse": "5e-05", "queue": "0.0001", "compute": "5", "encode": "+Inf"}
    bounds = [*map(str, TIME_BUCKETS_S), "+Inf"]
    for stage, bound in first.items():
        at_most = [count(source, f"{name}_bucket", model="means", stage=stage, le=le) for le in bounds]
        assert at_most == [0] * bounds.index(bound) + [2] * (len(bounds) - bounds.index(bound)), stage
    assert count(source, f"{name}_sum", model="means", stage="compute") == 4
    assert count(source, "tabserve_inference_requests_total", model="means", version="4", outcome="ok") == 1


def test_jobs_and_how_long_they_ran_are_counted() -> None:
    source = metrics()
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


def test_model_that_should_serve_and_cannot_is_not_ready_and_its_refusals_are_shown() -> None:
    models = [ModelState("means", 7, None, {"golden_mismatch": 2}), ModelState("new")]
    source = Exposition(metrics(), Gauges(models=lambda: models))

    assert figures(source)["tabserve_model_ready", frozenset({("model", "means"), ("version", "7")})] == 0
    assert count(source, "tabserve_model_refused_versions", model="means", reason="golden_mismatch") == 2
    assert "new" not in text_of(source)


def test_label_values_may_hold_anything() -> None:
    source = metrics()
    name = 'back\\slash "quoted"\nand a line'
    source.statistics.version("means", 3, (name,)).predicted(0, 5)

    assert count(source, "tabserve_predictions_total", **{"model": "means", "version": "3", "class": name}) == 5


def test_figures_are_written_as_prometheus_client_writes_them() -> None:
    source = busy(3)
    shown = text_of(source)

    families = text_string_to_metric_families(shown)
    registry = SimpleNamespace(collect=lambda: [family for family in families if family.samples])
    theirs = generate_latest(registry).decode()

    assert len(parsed(shown)) > 100
    assert parsed(theirs) == parsed(shown)


def test_handle_of_a_route_is_kept() -> None:
    source = metrics()

    assert source.requests("/a", "GET") is source.requests("/a", "GET")
    assert source.requests("/a", "GET") is not source.requests("/a", "POST")


def test_every_family_has_a_help_text_and_the_prefix_even_without_samples() -> None:
    text = text_of(metrics())

    for name, family in FAMILIES.items():
        assert name.startswith("tabserve_")
        assert f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n" in text
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def busy(requests: int) -> ServingMetrics:
    source = metrics()
    for _ in range(requests):
        source.requests("/a", "GET").count(200, 0.5)
    source.statistics.version("means", 1).ran(requests=requests, rows=10 * requests, times_ns=(1, 2, 3))
    return source


def test_figures_of_others_are_added() -> None:
    other, third = busy(2), busy(4)
    third.requests("/b", "GET").count(500, 2)
    source = Exposition(busy(1), others=lambda: (other.snapshot({}), third.snapshot({})))

    assert count(source, REQUESTS, route="/a", method="GET", code="200") == 7
    assert count(source, REQUESTS, route="/b", method="GET", code="500") == 1
    assert count(source, f"{SECONDS}_sum", route="/a", method="GET") == 3.5
    assert count(source, f"{SECONDS}_bucket", route="/a", method="GET", le="1") == 7
    assert count(source, "tabserve_inference_rows_total", model="means", version="1") == 70
    assert count(other, REQUESTS, route="/a", method="GET", code="200") == 2


def test_workers_add_up_by_files_and_a_dead_one_stays(tmp_path: Path) -> None:
    worker = busy(3)
    shared = SharedFigures(tmp_path, worker)
    source = Exposition(worker, others=shared.others)
    shared.write()
    assert count(source, REQUESTS, route="/a", method="GET", code="200") == 3

    (own,) = tmp_path.glob("*.json")
    own.rename(tmp_path / "1.json")  # now it is a dead worker's

    assert count(source, REQUESTS, route="/a", method="GET", code="200") == 6
    assert count(source, "tabserve_inference_rows_total", model="means", version="1") == 60
    assert count(source, f"{SECONDS}_count", route="/a", method="GET") == 6


def dead_process() -> int:
    """Return the number of a process that is no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_what_waits_in_a_dead_worker_does_not_count_any_more(tmp_path: Path) -> None:
    worker = busy(1)
    worker.in_progress, queued = 3, lambda: {"means": 40}
    shared = SharedFigures(tmp_path, worker, queued)
    source = Exposition(worker, Gauges(queued=queued), shared.others)
    shared.write()
    (own,) = tmp_path.glob("*.json")
    names = ("tabserve_http_requests_in_progress", "tabserve_queue_rows")

    own.rename(own.with_stem(str(os.getppid())))
    assert [figures(source)[names[0], frozenset()], count(source, names[1], model="means")] == [6, 80]

    own.with_stem(str(os.getppid())).rename(own.with_stem(str(dead_process())))
    assert [figures(source)[names[0], frozenset()], count(source, names[1], model="means")] == [3, 40]
    assert count(source, REQUESTS, route="/a", method="GET", code="200") == 2


def test_new_worker_goes_on_with_a_dead_ones_figures_so_that_files_do_not_grow_in_number(tmp_path: Path) -> None:
    own = tmp_path / f"{os.getpid()}.json"
    for requests in (2, 3):
        SharedFigures(tmp_path, busy(requests)).write()
        own.rename(own.with_stem(str(dead_process())))

    for _ in range(3):
        worker = metrics()
        shared = SharedFigures(tmp_path, worker)
        heir = Exposition(worker, others=shared.others)
        shared.inherit()
        shared.write()
        assert len(list(tmp_path.iterdir())) == 2
        assert count(heir, REQUESTS, route="/a", method="GET", code="200") == 5
        assert count(heir, "tabserve_inference_rows_total", model="means", version="1") == 50
        own.rename(own.with_stem(str(dead_process())))


def test_rare_events_are_counted_from_zero_so_that_the_first_one_is_an_increase() -> None:
    shown = metrics()

    assert count(shown, "tabserve_model_swaps_total", result="withdrawn") == 0
    assert count(shown, "tabserve_train_jobs_total", reason="out_of_memory") == 0
    shown.count_swap("withdrawn")
    assert count(shown, "tabserve_model_swaps_total", result="withdrawn") == 1


def test_file_is_replaced_whole(tmp_path: Path) -> None:
    source = busy(1)
    shared = SharedFigures(tmp_path, source)
    shared.write()
    source.requests("/a", "GET").count(200, 0.5)
    shared.write()

    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


def test_folder_that_is_gone_does_not_stop_the_service(tmp_path: Path) -> None:
    shared = SharedFigures(tmp_path / "gone", busy(1))

    shared.write()

    assert list(shared.others()) == []


def test_figures_are_kept_written_until_the_task_is_cancelled(tmp_path: Path) -> None:
    async def scene() -> None:
        task = asyncio.create_task(SharedFigures(tmp_path, busy(5)).keep_written())
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(scene())

    (own,) = tmp_path.glob("*.json")
    own.rename(tmp_path / "1.json")
    worker = metrics()
    reader = Exposition(worker, others=SharedFigures(tmp_path, worker).others)
    assert count(reader, REQUESTS, route="/a", method="GET", code="200") == 5
