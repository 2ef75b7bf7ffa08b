"""Counts of versions by themselves: sizes of batches, and sums over workers."""

from __future__ import annotations

from pathlib import Path

from app import statistics
from app.figures import SharedFigures
from app.metrics import ServingMetrics
from app.statistics import SIZES, Batches, Statistics

KEY = ("iris", "3")


def ran(counted: Statistics, *, requests: int = 1, rows: int = 1, infer_ns: int = 5) -> None:
    counted.ran(KEY, requests=requests, rows=rows, times_ns=(1, infer_ns, 2))


def test_nothing_counted_is_zero() -> None:
    found = statistics.of([Statistics().figures], "iris", 3)

    assert (found.succeeded, found.failed, found.last_ms, found.total, found.by_size) == (0, 0, 0, Batches(), {})


def test_batch_counts_under_the_first_size_that_holds_it() -> None:
    counted = Statistics()
    for rows in (1, 2, 3, 4, 5, 1024, 1025, 2048, 100_000):
        ran(counted, rows=rows)

    found = statistics.of([counted.figures], *("iris", 3))
    assert {size: batches.count for size, batches in found.by_size.items()} == {
        1: 1,
        2: 1,
        4: 2,
        8: 1,
        1024: 1,
        2048: 3,
    }
    assert found.total == Batches(9, 104_112, 9, 45, 18)
    assert set(found.by_size) <= set(SIZES)


def test_time_of_a_batch_is_that_of_each_of_its_requests() -> None:
    counted = Statistics()
    counted.waited(KEY, 100)
    ran(counted, requests=3, rows=7)

    found = statistics.of([counted.figures], "iris", 3)
    assert (found.succeeded, found.succeeded_ns, found.queued_ns) == (3, 3 * 8 + 100, 100)


def test_steps_of_one_request_are_one_success() -> None:
    counted = Statistics()
    for requests in (0, 0, 1):
        ran(counted, requests=requests, rows=2048)

    found = statistics.of([counted.figures], "iris", 3)
    assert (found.succeeded, found.succeeded_ns, found.total.count) == (1, 3 * 8, 3)


def test_workers_add_up_and_the_last_one_says_when() -> None:
    one, two = Statistics(), Statistics()
    ran(one)
    ran(two, rows=4)
    two.failed(KEY, requests=2, took_ns=10)

    found = statistics.of([one.figures, two.figures], "iris", 3)
    assert (found.succeeded, found.failed, found.failed_ns, found.total.rows) == (2, 2, 20, 5)
    assert found.last_ms == int(
        max(value[0] for part in (one, two) for value in part.figures["statistics_last"].values())
    )


def test_workers_read_each_others_counts(tmp_path: Path) -> None:
    one, two = ServingMetrics(tuple), ServingMetrics(tuple)
    ran(one.statistics, rows=2)
    ran(two.statistics, rows=3)
    shared = SharedFigures(tmp_path, two)
    shared.write()
    next(tmp_path.glob("*.json")).rename(tmp_path / "another.json")
    one.others = SharedFigures(tmp_path, one).others

    parts = [one.statistics.figures, *one.others()]
    assert statistics.of(parts, "iris", 3).total.rows == 5
    assert b"statistics" not in one.text()


def test_versions_and_models_are_counted_apart() -> None:
    counted = Statistics()
    ran(counted)
    counted.failed(("iris", "4"), requests=1, took_ns=0)
    counted.failed(("wine", "9"), requests=1, took_ns=0)

    assert statistics.versions([counted.figures], "iris") == {3, 4}
    assert statistics.of([counted.figures], "iris", 4).succeeded == 0
