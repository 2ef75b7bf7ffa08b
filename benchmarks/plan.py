"""How long and how often each scenario is measured.

It must not know what is measured.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """One way to run the benchmark.

    Attributes:
        name: quick or full, shown in every table.
        rounds: how often the systems take turns.
        seconds: length of one measurement; wrk rounds it up to whole seconds.
        warm_up_s: load before the first round, not counted.
        starts: rounds of the scenarios that start processes.
        swaps: hot swaps under load.
        batch_sizes: rows of the requests whose first one after a start is compared with the following ones.
        repeats: how many following ones.
        curve: rows per request of the curve.
        large_rows: rows of the body that is larger than memory.
    """

    name: str
    rounds: int
    seconds: float
    warm_up_s: float
    starts: int
    swaps: int
    batch_sizes: tuple[int, ...]
    repeats: int
    curve: tuple[int, ...]
    large_rows: int


FULL = Plan(
    name="full",
    rounds=7,
    seconds=4.0,
    warm_up_s=1.0,
    starts=5,
    swaps=200,
    batch_sizes=(
        *(1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 16, 20, 24, 31, 32, 33, 48, 63, 64, 65, 100, 127, 128, 200, 256, 300),
        *(500, 512, 777, 1000, 1023, 1024, 1025, 1500, 2000, 2048, 3000, 4096, 5000, 7000, 8192, 10_000),
    ),
    repeats=15,
    curve=(1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000),
    large_rows=5_000_000,
)
QUICK = Plan(
    name="quick",
    rounds=2,
    seconds=0.8,
    warm_up_s=0.2,
    starts=1,
    swaps=12,
    batch_sizes=(1, 2, 7, 64, 100, 1000, 1025, 10_000),
    repeats=7,
    curve=(1, 10, 100, 1000, 10_000, 100_000),
    large_rows=200_000,
)
TRIAL = Plan(
    name="trial",
    rounds=1,
    seconds=0.3,
    warm_up_s=0.1,
    starts=1,
    swaps=3,
    batch_sizes=(1, 7),
    repeats=3,
    curve=(1, 100, 10_000),
    large_rows=20_000,
)
PLANS = {plan.name: plan for plan in (FULL, QUICK, TRIAL)}
