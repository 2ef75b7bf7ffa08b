"""Statistics of a version over all workers, as the Open Inference Protocol reports them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.telemetry.version_counters import BATCHES, LAST, REQUESTS, SIZES, Figures


@dataclass(frozen=True, slots=True)
class BatchTotals:
    """Forward passes of one batch size, and their times in nanoseconds."""

    count: int = 0
    rows: int = 0
    input_ns: int = 0
    infer_ns: int = 0
    output_ns: int = 0


@dataclass(frozen=True, slots=True)
class VersionStatistics:
    """Statistics of one version over all workers.

    Attributes:
        last_ms: time of its last answer, in milliseconds since 1970; 0 if there was none.
        by_size: batches by the largest number of rows that they may have.
    """

    name: str
    version: int
    last_ms: int
    succeeded: int
    succeeded_ns: int
    failed: int
    failed_ns: int
    queued_ns: int
    by_size: dict[int, BatchTotals]

    @property
    def total(self) -> BatchTotals:
        """Return the batches of all sizes."""
        each = self.by_size.values()
        sums = ((b.count, b.rows, b.input_ns, b.infer_ns, b.output_ns) for b in each)
        return BatchTotals(*map(sum, zip(*sums, strict=True)))


def versions(parts: Iterable[Figures], name: str) -> set[int]:
    """Return the versions of a model that appear in the counts of any worker."""
    return {int(labels[1]) for part in parts for labels in part.get(REQUESTS, {}) if labels[0] == name}


def of(parts: Iterable[Figures], name: str, version: int) -> VersionStatistics:
    """Return the statistics of a version, from the figures of all workers."""
    parts = list(parts)
    key = (name, str(version))
    success, success_ns, failed, failed_ns, queued_ns = _add_up(_find(parts, REQUESTS, key), 5)
    sized = {size: _add_up(_find(parts, BATCHES, (*key, str(size))), 5) for size in SIZES}
    last = (values[0] for part in parts for labels, values in part.get(LAST, {}).items() if labels[:2] == key)
    return VersionStatistics(
        *(name, version, int(max(last, default=0)), success, success_ns, failed, failed_ns, queued_ns),
        by_size={size: BatchTotals(*sums) for size, sums in sized.items() if sums[0]},
    )


def _find(parts: list[Figures], family: str, labels: tuple[str, ...]) -> Iterator[list[float]]:
    return (part[family][labels] for part in parts if labels in part.get(family, {}))


def _add_up(vectors: Iterable[list[float]], length: int) -> list[int]:
    return [int(sum(column)) for column in zip([0.0] * length, *vectors, strict=True)]
