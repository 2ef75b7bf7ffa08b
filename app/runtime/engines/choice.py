"""Measure which engine is quickest for each batch size, and run each batch on it.

This module must not know how an engine computes.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import numpy as np

from app.schema import Float32

# Batch sizes to warm up, capture and measure; the largest is `dataplane.MAX_BATCH_ROWS`.
BUCKETS = (1, 2, 3, 8, 64, 256, 1024)
# The profiling executor records on the first call, compiles on the second and is stable from the third on.
WARM_UP_CALLS = 3
MEASURED_CALLS = 20
MEASURED_S = 0.02  # for each engine and size, at least one call; a swap waits for all of them


class Engine(Protocol):
    """Compute probabilities, float32 (N, K), of raw features, float32 (N, F)."""

    @property
    def name(self) -> str:
        """Return a name for people to read, such as `cpu` or `cuda:0 graph`."""

    def infer(self, x: Float32) -> Float32:
        """Return the probabilities of any number of rows."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine for batches of up to `rows` rows, and its time for that size."""

    rows: int
    engine: Engine
    measured_us: float


class QuickestEngine:
    """Run each batch on the engine that was measured quickest for its size.

    Batches above the largest measured size run on the engine of that size.
    """

    def __init__(self, choices: Sequence[Choice]) -> None:
        self.choices = tuple(choices)
        self.name = " / ".join(dict.fromkeys(choice.engine.name for choice in choices))
        self._bounds = [choice.rows for choice in choices]

    def __str__(self) -> str:
        """Return which engine runs which sizes, for people to read."""
        largest = {choice.engine.name: choice.rows for choice in self.choices}
        *some, last = largest
        return ", ".join([*(f"{name} up to {largest[name]} rows" for name in some), last])

    def infer(self, x: Float32) -> Float32:
        """Return the probabilities of any number of rows."""
        place = min(bisect_left(self._bounds, len(x)), len(self._bounds) - 1)
        return self.choices[place].engine.infer(x)

    def rows_within(self, us: float) -> int:
        """Return how many rows take at most `us` microseconds, a power of two and at least 1.

        That is by the largest measured size, in proportion. A power of two seldom changes from one measurement to the
        next, and so seldom do the last bits of a large answer.
        """
        largest = self.choices[-1]
        rows = largest.rows * us / max(largest.measured_us, 1.0)
        return 1 << max(0, math.floor(math.log2(rows)))


def quickest(groups: Sequence[Sequence[Engine]], row: Float32) -> QuickestEngine:
    """Warm up the engines at every bucket, measure them, and return the quickest for each.

    Engines of one group round differently in the last bits, and so would a row alone and among others if each answered
    some sizes. So one engine of a group answers all sizes, the one with the least geometric mean of its times.

    Args:
        groups: at least one, each of at least one engine.
        row: an ordinary row, float32, shape (1, F).
    """
    engines = [engine for group in groups for engine in group]
    batches = [np.repeat(row, rows, axis=0) for rows in BUCKETS]
    for engine in engines:
        for x in batches:
            for _ in range(WARM_UP_CALLS):
                engine.infer(x)
    if len(engines) == 1:
        return QuickestEngine([Choice(BUCKETS[-1], engines[0], _time_us(engines[0], batches[-1]))])
    measured = [
        min(([(_time_us(engine, x), engine) for x in batches] for engine in group), key=_mean_log) for group in groups
    ]
    best = [min(times, key=lambda timed: timed[0]) for times in zip(*measured, strict=True)]
    return QuickestEngine([Choice(rows, engine, us) for rows, (us, engine) in zip(BUCKETS, best, strict=True)])


def _mean_log(times: Sequence[tuple[float, Engine]]) -> float:
    return math.fsum(math.log(us) for us, _ in times)


def _time_us(engine: Engine, x: Float32) -> float:
    """Return the time of the quickest of MEASURED_CALLS calls, or of those within MEASURED_S, in microseconds."""
    best, began = float("inf"), perf_counter()
    for _ in range(MEASURED_CALLS):
        started = perf_counter()
        engine.infer(x)
        ended = perf_counter()
        best = min(best, ended - started)
        if ended - began > MEASURED_S:
            break
    return best * 1e6
