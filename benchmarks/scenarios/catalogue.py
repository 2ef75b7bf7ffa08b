"""All scenarios in the order of measuring: those that need an idle machine come last."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.outcomes import Outcome
from benchmarks.scenarios import (
    bulk,
    counting,
    inference,
    large,
    latency,
    learners,
    starting,
    swaps,
    throughput,
    training,
    trust,
    workers,
)

SCENARIOS: dict[str, Callable[[Bench], Outcome]] = {
    "counting": counting.counting,
    "client_limit": throughput.client_limit,
    "one_row_64": throughput.one_row_64,
    "one_row_1": throughput.one_row_1,
    "rows_100": throughput.rows_100,
    "rows_10000": throughput.rows_10000,
    "learners": learners.learners,
    "binary_10000": bulk.binary_10000,
    "oip_10000": inference.oip_10000,
    "oip_one_row": inference.oip_one_row,
    "curve": bulk.curve,
    "half_capacity": latency.half_capacity,
    "beside_bulk": latency.beside_bulk,
    "beside_learners": learners.beside_learners,
    "trust": trust.trust,
    "beside_explained": trust.beside_explained,
    "beside_shadow": trust.beside_shadow,
    "memory": starting.memory,
    "large_csv": large.large_csv,
    "swaps": swaps.swaps,
    "beside_training": training.beside_training,
    "workers": workers.workers,
    "start": starting.start,
    "first_requests": starting.first_requests,
}
