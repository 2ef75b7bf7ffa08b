"""What each version did, as the statistics extension of the Open Inference Protocol counts it; no HTTP, no torch.

Plain numbers under labels, like the figures of `app/metrics.py`, so that workers add up by reading each other's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Figures = dict[str, dict[tuple[str, ...], list[float]]]

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)  # a batch counts under the first that holds it

_REQUESTS = "statistics_requests"  # model, version -> success, its ns, failures, their ns, ns in the queue
_BATCHES = "statistics_batches"  # model, version, size -> batches, rows, ns of input, infer and output
_LAST = "statistics_last"  # model, version, process -> ms since 1970


@dataclass(frozen=True, slots=True)
class Batches:
    """Forward passes of one size, and the nanoseconds that they took."""

    count: int = 0
    rows: int = 0
    input_ns: int = 0
    infer_ns: int = 0
    output_ns: int = 0


@dataclass(frozen=True, slots=True)
class VersionStatistics:
    """What a version did, over all workers.

    Attributes:
        last_ms: when it answered last, in milliseconds since 1970; 0 if it never did.
        by_size: batches by the greatest number of rows that they may have.
    """

    name: str
    version: int
    last_ms: int
    succeeded: int
    succeeded_ns: int
    failed: int
    failed_ns: int
    queued_ns: int
    by_size: dict[int, Batches]

    @property
    def total(self) -> Batches:
        """Return the batches of all sizes."""
        each = self.by_size.values()
        sums = ((b.count, b.rows, b.input_ns, b.infer_ns, b.output_ns) for b in each)
        return Batches(*map(sum, zip(*sums, strict=True)))


class Statistics:
    """Counts of one process.

    Attributes:
        figures: for other workers to read; they change while they are read, each on its own.
    """

    def __init__(self) -> None:
        self.figures: Figures = {_REQUESTS: {}, _BATCHES: {}, _LAST: {}}
        self._process = str(os.getpid())
        self._known: dict[tuple[tuple[str, str], int], tuple[list[float], list[float], list[float]]] = {}

    def ran(self, key: tuple[str, str], *, requests: int, rows: int, times_ns: tuple[int, int, int]) -> None:
        """Count requests that were answered together.

        Args:
            key: model and version.
            requests: how many; 0 for a part of one that is not its last.
            rows: of the batch.
            times_ns: what preparing the input, the forward pass and taking the answers apart took.
        """
        place = min((rows - 1).bit_length(), len(SIZES) - 1)
        counts, batches, last = self._known.get((key, place)) or self._counters(key, place)
        input_ns, infer_ns, output_ns = times_ns
        batches[0] += 1
        batches[1] += rows
        batches[2] += input_ns
        batches[3] += infer_ns
        batches[4] += output_ns
        counts[0] += requests
        counts[1] += (requests or 1) * (input_ns + infer_ns + output_ns)
        last[0] = time.time() * 1e3

    def waited(self, key: tuple[str, str], waited_ns: int) -> None:
        """Count the time that requests waited for their batch; it is part of the time that they took."""
        counts = self._counts(key)
        counts[1] += waited_ns
        counts[4] += waited_ns

    def failed(self, key: tuple[str, str], *, requests: int, took_ns: int) -> None:
        """Count requests that were refused because too many wait or their time was over, or whose batch failed."""
        counts = self._counts(key)
        counts[2] += requests
        counts[3] += requests * took_ns

    def _counters(self, key: tuple[str, str], place: int) -> tuple[list[float], list[float], list[float]]:
        """Return where batches of a size are counted, and remember it: this is on the way of every request."""
        batches = self.figures[_BATCHES].setdefault((*key, str(SIZES[place])), [0.0] * 5)
        last = self.figures[_LAST].setdefault((*key, self._process), [0.0])
        self._known[key, place] = found = self._counts(key), batches, last
        return found

    def _counts(self, key: tuple[str, str]) -> list[float]:
        return self.figures[_REQUESTS].setdefault(key, [0.0] * 5)


def versions(parts: Iterable[Figures], name: str) -> set[int]:
    """Return the versions of a model that any worker counted something of."""
    return {int(labels[1]) for part in parts for labels in part.get(_REQUESTS, {}) if labels[0] == name}


def of(parts: Iterable[Figures], name: str, version: int) -> VersionStatistics:
    """Return what a version did according to the figures of all workers."""
    parts = list(parts)
    key = (name, str(version))
    success, success_ns, failed, failed_ns, queued_ns = _added(_found(parts, _REQUESTS, key), 5)
    sized = {size: _added(_found(parts, _BATCHES, (*key, str(size))), 5) for size in SIZES}
    last = (values[0] for part in parts for labels, values in part.get(_LAST, {}).items() if labels[:2] == key)
    return VersionStatistics(
        *(name, version, int(max(last, default=0)), success, success_ns, failed, failed_ns, queued_ns),
        by_size={size: Batches(*sums) for size, sums in sized.items() if sums[0]},
    )


def _found(parts: list[Figures], family: str, labels: tuple[str, ...]) -> Iterator[list[float]]:
    return (part[family][labels] for part in parts if labels in part.get(family, {}))


def _added(vectors: Iterable[list[float]], length: int) -> list[int]:
    return [int(sum(column)) for column in zip([0.0] * length, *vectors, strict=True)]
