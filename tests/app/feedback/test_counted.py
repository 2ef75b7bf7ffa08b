"""What several workers counted of a version is added up."""

from __future__ import annotations

import numpy as np

from app.feedback.counted import count_receipts, measure_agreement, sum_samples
from app.telemetry.counts_by_version import CountsByVersion
from app.telemetry.version_counters import RECEIPTS
from tests.fakes import MeanModel, manifest_for

FEATURES = manifest_for(MeanModel(2, 0.0), b"a model").features


def worker(rows: int, outside: int) -> CountsByVersion:
    counted = CountsByVersion()
    counts = counted.version("means", 1, ("low", "high"), FEATURES)
    counts.count_receipts(rows)
    counts.count_outside(outside)
    counts.ran(requests=1, rows=rows, times_ns=(1, 1, 1))
    counts.count_sample(np.zeros((rows, 2), np.float32), np.full((rows, 2), (0.25, 0.75), np.float32))
    return counted


def test_figures_of_all_workers_are_added_up() -> None:
    parts = [worker(10, 1).figures, worker(30, 3).figures]
    parts[1][RECEIPTS] = {("means", "1", "other process"): [30.0, 5.0]}

    given, found = count_receipts(parts, "means", 1), sum_samples(parts, "means", 1)

    assert (given.number, given.since_s) == (40, 5)
    assert found == (40, 30.0, 40, 4)


def test_a_version_that_did_nothing_has_zeros() -> None:
    assert count_receipts([CountsByVersion().figures], "means", 1) == (0, None)
    assert sum_samples([{}], "means", 1) == (0, 0.0, 0, 0)


def test_agreement_of_all_workers_is_added_up() -> None:
    workers = [CountsByVersion(), CountsByVersion()]
    for place, counted in enumerate(workers):
        counts = counted.shadow("means", 1, 2)
        counts.count_compared(10 + place, 9, 2.5)
        counts.count_failed(place)
        counts.count_dropped(3)
    parts = [counted.figures for counted in workers]

    found = measure_agreement(parts, "means", (1, 2), has_classes=True)
    assert (found.rows, found.share, found.failed, found.dropped) == (21, 18 / 21, 1, 6)
    assert found.mean_absolute_difference is None
    quantities = measure_agreement(parts, "means", (1, 2), has_classes=False)
    assert (quantities.share, quantities.mean_absolute_difference) == (None, 5 / 21)
    assert measure_agreement(parts, "means", (1, 3), has_classes=True).share is None
