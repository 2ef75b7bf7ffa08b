"""Figures of several workers, added up from their files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from pathlib import Path

from app.telemetry.metrics import QUEUE, ServingMetrics, Snapshot
from app.telemetry.multiprocess import SharedFigures, WorkerFigures
from tests.app.telemetry.figures import REQUESTS, SECONDS, busy, count, figures


class Workers(WorkerFigures):
    """Figures of workers that share no files."""

    def __init__(self, *workers: ServingMetrics) -> None:
        self._workers = workers

    def of_all_workers(self) -> list[Snapshot]:
        return [worker.snapshot() | {QUEUE: {}} for worker in self._workers]


def test_figures_of_others_are_added() -> None:
    other, third = busy(2), busy(4)
    third.requests("/b", "GET").count(500, 2)
    source = Workers(busy(1), other, third)

    assert count(source, REQUESTS, route="/a", method="GET", code="200") == 7
    assert count(source, REQUESTS, route="/b", method="GET", code="500") == 1
    assert count(source, f"{SECONDS}_sum", route="/a", method="GET") == 3.5
    assert count(source, f"{SECONDS}_bucket", route="/a", method="GET", le="1") == 7
    assert count(source, "tabserve_inference_rows_total", model="means", version="1") == 70
    assert count(other, REQUESTS, route="/a", method="GET", code="200") == 2


def test_workers_add_up_by_files_and_a_dead_one_stays(tmp_path: Path) -> None:
    source = SharedFigures(busy(3), dict, tmp_path)
    source.write()
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
    metrics = busy(1)
    metrics.in_progress = 3
    source = SharedFigures(metrics, lambda: {"means": 40}, tmp_path)
    source.write()
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
        SharedFigures(busy(requests), dict, tmp_path).write()
        own.rename(own.with_stem(str(dead_process())))

    for _ in range(3):
        heir = SharedFigures(ServingMetrics(), dict, tmp_path)
        heir.inherit()
        heir.write()
        assert len(list(tmp_path.iterdir())) == 2
        assert count(heir, REQUESTS, route="/a", method="GET", code="200") == 5
        assert count(heir, "tabserve_inference_rows_total", model="means", version="1") == 50
        own.rename(own.with_stem(str(dead_process())))


def test_file_is_replaced_whole(tmp_path: Path) -> None:
    source = busy(1)
    shared = SharedFigures(source, dict, tmp_path)
    shared.write()
    source.requests("/a", "GET").count(200, 0.5)
    shared.write()

    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


def test_folder_that_is_gone_does_not_stop_the_service(tmp_path: Path) -> None:
    shared = SharedFigures(busy(1), dict, tmp_path / "gone")

    shared.write()

    assert shared.of_all_workers() == [shared.own()]


def test_figures_are_kept_written_until_the_task_is_cancelled(tmp_path: Path) -> None:
    async def scene() -> None:
        task = asyncio.create_task(SharedFigures(busy(5), dict, tmp_path).keep_written())
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(scene())

    (own,) = tmp_path.glob("*.json")
    own.rename(tmp_path / "1.json")
    reader = SharedFigures(ServingMetrics(), dict, tmp_path)
    assert count(reader, REQUESTS, route="/a", method="GET", code="200") == 5
