"""The statistics of a version over all workers."""

from __future__ import annotations

from pathlib import Path

from app.telemetry import version_report
from app.telemetry.counts_by_version import CountsByVersion
from app.telemetry.metrics import ServingMetrics
from app.telemetry.multiprocess import SharedFigures
from app.telemetry.version_counters import SIZES
from app.telemetry.version_report import BatchTotals
from tests.app.telemetry.figures import counts, ran, text


def test_nothing_counted_is_zero() -> None:
    found = version_report.of([CountsByVersion().figures], "iris", 3)

    assert (found.succeeded, found.failed, found.last_ms, found.total, found.by_size) == (0, 0, 0, BatchTotals(), {})


def test_batch_counts_under_the_first_size_that_holds_it() -> None:
    counted = CountsByVersion()
    for rows in (1, 2, 3, 4, 5, 1024, 1025, 2048, 100_000):
        ran(counted, rows=rows)

    found = version_report.of([counted.figures], *("iris", 3))
    assert {size: batches.count for size, batches in found.by_size.items()} == {
        1: 1,
        2: 1,
        4: 2,
        8: 1,
        1024: 1,
        2048: 3,
    }
    assert found.total == BatchTotals(9, 104_112, 9, 45, 18)
    assert set(found.by_size) <= set(SIZES)


def test_time_of_a_batch_is_that_of_each_of_its_requests() -> None:
    counted = CountsByVersion()
    ran(counted, requests=3, rows=7)
    counts(counted).count_answer((7, 100, 8, 9))

    found = version_report.of([counted.figures], "iris", 3)
    assert (found.succeeded, found.succeeded_ns, found.queued_ns) == (3, 3 * 8 + 100, 100)


def test_steps_of_one_request_are_one_success() -> None:
    counted = CountsByVersion()
    for requests in (0, 0, 1):
        ran(counted, requests=requests, rows=2048)

    found = version_report.of([counted.figures], "iris", 3)
    assert (found.succeeded, found.succeeded_ns, found.total.count) == (1, 3 * 8, 3)


def test_workers_add_up_and_the_last_one_says_when() -> None:
    one, two = CountsByVersion(), CountsByVersion()
    ran(one)
    ran(two, rows=4)
    counts(two).count_failures(requests=2, took_ns=10)

    found = version_report.of([one.figures, two.figures], "iris", 3)
    assert (found.succeeded, found.failed, found.failed_ns, found.total.rows) == (2, 2, 20, 5)
    assert found.last_ms == int(
        max(value[0] for part in (one, two) for value in part.figures["statistics_last"].values())
    )


def test_workers_read_each_others_counts(tmp_path: Path) -> None:
    one, two = ServingMetrics(), ServingMetrics()
    ran(one.statistics, rows=2)
    ran(two.statistics, rows=3)
    SharedFigures(two, dict, tmp_path).write()
    next(tmp_path.glob("*.json")).rename(tmp_path / "1.json")
    source = SharedFigures(one, dict, tmp_path)

    assert version_report.of(source.of_all_workers(), "iris", 3).total.rows == 5
    assert "statistics" not in text(source)
