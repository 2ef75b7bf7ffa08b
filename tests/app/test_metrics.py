"""The figures by themselves: counts, buckets, and sums over workers."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.figures import SharedFigures
from app.metrics import CONTENT_TYPE, FAMILIES, TIME_BUCKETS_S, ServingMetrics

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]
REQUESTS = "tabserve_http_requests_total"
SECONDS = "tabserve_http_request_duration_seconds"


def metrics() -> ServingMetrics:
    return ServingMetrics(tuple)


def figures(source: ServingMetrics) -> Figures:
    families = text_string_to_metric_families(source.text().decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def count(source: ServingMetrics, name: str, **labels: str) -> float:
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


def test_rows_and_jobs_are_counted() -> None:
    source = metrics()
    source.rows_answered("means", 3, 40)
    source.rows_answered("means", 3, 2)
    source.job_ended("finished")

    assert count(source, "tabserve_inference_rows_total", model="means", version="3") == 42
    assert count(source, "tabserve_train_jobs_total", reason="finished") == 1


def test_handle_of_a_route_is_kept() -> None:
    source = metrics()

    assert source.requests("/a", "GET") is source.requests("/a", "GET")
    assert source.requests("/a", "GET") is not source.requests("/a", "POST")


def test_every_family_has_a_help_text_and_the_prefix_even_without_samples() -> None:
    text = metrics().text().decode()

    for name, family in FAMILIES.items():
        assert name.startswith("tabserve_")
        assert family.help in text
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def busy(requests: int) -> ServingMetrics:
    source = metrics()
    for _ in range(requests):
        source.requests("/a", "GET").count(200, 0.5)
    source.rows_answered("means", 1, 10 * requests)
    return source


def test_figures_of_others_are_added() -> None:
    source, other, third = busy(1), busy(2), busy(4)
    third.requests("/b", "GET").count(500, 2)
    source.others = lambda: (other.snapshot(), third.snapshot())

    assert count(source, REQUESTS, route="/a", method="GET", code="200") == 7
    assert count(source, REQUESTS, route="/b", method="GET", code="500") == 1
    assert count(source, f"{SECONDS}_sum", route="/a", method="GET") == 3.5
    assert count(source, f"{SECONDS}_bucket", route="/a", method="GET", le="1") == 7
    assert count(source, "tabserve_inference_rows_total", model="means", version="1") == 70
    assert count(other, REQUESTS, route="/a", method="GET", code="200") == 2


def test_workers_add_up_by_files_and_a_dead_one_stays(tmp_path: Path) -> None:
    source = busy(3)
    shared = SharedFigures(tmp_path, source)
    source.others = shared.others
    shared.write()
    assert count(source, REQUESTS, route="/a", method="GET", code="200") == 3

    (own,) = tmp_path.glob("*.json")
    own.rename(tmp_path / "1.json")  # now it is a dead worker's

    assert count(source, REQUESTS, route="/a", method="GET", code="200") == 6
    assert count(source, "tabserve_inference_rows_total", model="means", version="1") == 60
    assert count(source, f"{SECONDS}_count", route="/a", method="GET") == 6


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

    reader = metrics()
    (own,) = tmp_path.glob("*.json")
    own.rename(tmp_path / "1.json")
    reader.others = SharedFigures(tmp_path, reader).others
    assert count(reader, REQUESTS, route="/a", method="GET", code="200") == 5
