"""Counts of versions by themselves: sizes of batches, and sums over workers."""

from __future__ import annotations

from app.telemetry import version_counters
from app.telemetry.counts_by_version import CountsByVersion
from app.telemetry.version_counters import OUTCOMES, TIME_BUCKETS_S
from tests.app.telemetry.figures import counts


def test_every_outcome_is_there_before_it_happens() -> None:
    counted = CountsByVersion()
    counts(counted)

    assert [labels[2] for labels in counted.figures[version_counters.ENDS]] == [*OUTCOMES]


def test_times_of_many_requests_are_counted_although_nobody_looks() -> None:
    counted = CountsByVersion()
    for _ in range(10_000):
        counts(counted).count_answer((50_000, 50_001, 2_000_000_000, 6_000_000_000))

    places = {stage: counted.figures[version_counters.TIMES]["iris", stage] for stage in version_counters.STAGES}
    assert [sum(found[:-1]) for found in places.values()] == [10_000] * 4
    assert [found.index(10_000) for found in places.values()] == [0, 1, len(TIME_BUCKETS_S) - 1, len(TIME_BUCKETS_S)]
    assert [found[-1] for found in places.values()] == [5e8, 500_010_000, 2e13, 6e13]
    assert counted.figures[version_counters.ENDS]["iris", "3", "ok"] == [10_000]
