"""What all workers counted of a version since the service started, apart from labels.

This module must not know HTTP or a database.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pydantic import BaseModel

from app.feedback.live import Sampled
from app.telemetry.drift import CONFIDENCE_BUCKETS
from app.telemetry.version_counters import BATCHES, CONFIDENCE, OUTSIDE, RECEIPTS, SHADOWED, Figures
from modelstore.intervals import wilson


class ReceiptsGiven(NamedTuple):
    """Receipts that were given, and the time of the first, in seconds since 1970; None without any."""

    number: int
    since_s: int | None


class Agreement(BaseModel):
    """How far the answers of a version and its shadow agree on the same rows, since the service started.

    Attributes:
        rows: rows that both answered.
        share: share of them with the same class; null for a quantity, and without a row.
        interval: 95 % interval of the share.
        mean_absolute_difference: of quantities, in the unit of the target; null for classes, and without a row.
        failed: rows that the shadow could not answer.
        dropped: rows that were not computed, since the shadow had no time.
    """

    rows: int
    share: float | None
    interval: tuple[float, float] | None
    mean_absolute_difference: float | None
    failed: int
    dropped: int


def count_receipts(parts: Iterable[Figures], name: str, version: int) -> ReceiptsGiven:
    """Return the receipts that a version gave, from the figures of all workers."""
    key = (name, str(version))
    counts = [values for part in parts for labels, values in part.get(RECEIPTS, {}).items() if labels[:2] == key]
    since_s = min((int(first) for _, first in counts), default=None)
    return ReceiptsGiven(int(sum(given for given, _ in counts)), since_s)


def sum_samples(parts: Iterable[Figures], name: str, version: int) -> Sampled:
    """Return what was sampled and counted of the rows of a version, from the figures of all workers."""
    key = (name, str(version))
    rows = total = computed = outside = 0.0
    for part in parts:
        confidence = part.get(CONFIDENCE, {}).get(key, [0.0])
        rows += sum(confidence[: len(CONFIDENCE_BUCKETS) + 1])
        total += confidence[-1]
        computed += sum(values[1] for labels, values in part.get(BATCHES, {}).items() if labels[:2] == key)
        outside += part.get(OUTSIDE, {}).get(key, [0.0])[0]
    return Sampled(int(rows), total, int(computed), int(outside))


def measure_agreement(parts: Iterable[Figures], name: str, pair: tuple[int, int], *, has_classes: bool) -> Agreement:
    """Return how far a version and its shadow, the numbers of `pair`, agree, from the figures of all workers."""
    key = (name, *map(str, pair))
    counts = [part[SHADOWED][key] for part in parts if key in part.get(SHADOWED, {})]
    rows, same, distance, failed, dropped = (sum(numbers) for numbers in zip([0.0] * 5, *counts, strict=True))
    share = same / rows if rows and has_classes else None
    return Agreement(
        rows=int(rows),
        share=share,
        interval=None if share is None else wilson(share, int(rows)),
        mean_absolute_difference=distance / rows if rows and not has_classes else None,
        failed=int(failed),
        dropped=int(dropped),
    )
