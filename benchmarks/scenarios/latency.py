"""Latency at a fixed rate: at half of the capacity, and beside a bulk request."""

from __future__ import annotations

import time
from functools import partial

from benchmarks.bench import Bench, Measure, answer
from benchmarks.clients import Failed
from benchmarks.closed_loop import closed_loop
from benchmarks.open_loop import Arrivals, Beside, Schedule, at_random, evenly, open_loop
from benchmarks.outcomes import Outcome
from benchmarks.requests import Request, float32_rows, json_rows
from benchmarks.systems import ASGI, CONSTANT, FASTAPI, TABSERVE, Server

BULK_ROWS = 100_000
LEAST_BULKS = 3
LONGEST_S = 600.0
MODEST_RATE_PER_S = 200.0
RANDOM = ", random arrivals"
ALONE = ", alone"


def half_capacity(bench: Bench) -> Outcome:
    """One row at half of the rate that 64 connections reached just before, evenly spaced and at random."""
    outcome = Outcome(scenario="half_capacity", title="One row at half of capacity, open loop")
    for name in (CONSTANT, FASTAPI, ASGI, TABSERVE):
        bench.server(name)
    cases: dict[str, Measure] = {}
    for name in (CONSTANT, FASTAPI, ASGI, TABSERVE):
        cases[name] = partial(_half, bench, name, random=False)
    for name in (CONSTANT, TABSERVE):
        cases[name + RANDOM] = partial(_half, bench, name, random=True)
    bench.take_turns(outcome, cases)
    outcome.notes.append("Capacity is measured just before, in each round. `late_p99_ms` is the client's own lateness.")
    return outcome


def beside_bulk(bench: Bench) -> Outcome:
    """One row at a modest fixed rate, with and without bulk requests of 100,000 rows one after the other."""
    title = f"One row, {MODEST_RATE_PER_S:.0f} requests/s, beside bulk requests of 100,000 rows"
    outcome = Outcome(scenario="beside_bulk", title=title)
    x = bench.store.rows(BULK_ROWS)
    cases: dict[str, Measure] = {}
    for name in (ASGI, TABSERVE):
        server, one = bench.server(name), single(name, bench)
        cases[name + ALONE] = partial(beside, bench, server, one, None)
        cases[f"{name}, JSON bulk"] = partial(beside, bench, server, one, json_rows(x))
    cases["tabserve, float32 bulk"] = partial(beside, bench, server, one, float32_rows(x))
    bench.take_turns(outcome, cases)
    return outcome


def single(name: str, bench: Bench) -> Request:
    """Return the one-row request for a system."""
    return json_rows(bench.store.rows(1), query="?rows=1" if name == CONSTANT else "")


def figures_of(arrivals: Arrivals) -> dict[str, float]:
    """Return what every open loop reports."""
    return {
        "p50_ms": arrivals.percentile_ms(50),
        "p99_ms": arrivals.percentile_ms(99),
        "late_p99_ms": arrivals.late_p99_ms,
        "failures": arrivals.failures,
    }


def beside(
    bench: Bench, server: Server, one: Request, bulk: Request | None, seconds: float, *, pause_s: float = 0.0
) -> dict[str, float]:
    """Measure one row at a modest fixed rate, beside other requests if there are any.

    Args:
        bench: the run of the benchmark.
        server: what is asked.
        one: the request that is measured.
        bulk: what is asked beside, one after the other.
        seconds: half of the length of the measurement.
        pause_s: from the start of a request beside to that of the next one, at least.

    Raises:
        Failed: if a request beside is not answered 200.
    """
    wanted_s = 2 * seconds
    if bulk is None:
        return figures_of(open_loop(server.address, one, evenly(MODEST_RATE_PER_S, wanted_s)))
    if seconds < bench.plan.seconds:  # the warm-up: is it understood?
        answer(server, bulk)
    wire, began, elapsed_s = bulk.wire(), time.perf_counter(), 0.0

    def again(asked: int) -> bytes | None:
        nonlocal elapsed_s
        elapsed_s = time.perf_counter() - began
        return wire if asked < LEAST_BULKS or elapsed_s < wanted_s else None

    others = Beside(server.address, again, pause_s=pause_s)
    arrivals = open_loop(server.address, one, evenly(MODEST_RATE_PER_S, LONGEST_S), beside=others)
    if others.failures:
        raise Failed("bulk requests fail")
    return {**figures_of(arrivals), "bulk_rows_per_s": others.replies * bulk.rows / elapsed_s}


def _half(bench: Bench, name: str, seconds: float, *, random: bool) -> dict[str, float]:
    address, request = bench.server(name).address, single(name, bench)
    capacity = closed_loop(address, request, 64, seconds / 2).requests_per_s
    schedule: Schedule = at_random(capacity / 2, seconds, seed=1) if random else evenly(capacity / 2, seconds)
    figures = figures_of(open_loop(address, request, schedule))
    return {"rate_per_s": capacity / 2, **figures, "p99_over_p50": figures["p99_ms"] / figures["p50_ms"]}
