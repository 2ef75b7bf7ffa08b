"""One worker process against two."""

from __future__ import annotations

import contextlib
from functools import partial

from benchmarks.bench import Bench, Measure
from benchmarks.closed_loop import closed_loop
from benchmarks.outcomes import Outcome
from benchmarks.requests import json_rows
from benchmarks.systems import TABSERVE, DidNotStart, Server

ONE, TWO = "1 worker", "2 workers"
CONNECTIONS = 16  # enough that both workers get some, whichever way connections are shared out
ROWS = 1000


def workers(bench: Bench) -> Outcome:
    """The same load on a service of one and of two processes, both allowed on the same two cores."""
    outcome = Outcome(scenario="workers", title="1,000 rows, 16 connections, by number of workers", reference=ONE)
    cores = bench.cores.workers
    if len(cores) < 2:
        outcome.skipped[TWO] = "there is only one core"
        return outcome
    bench.close()
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(bench.fresh(TABSERVE, cores=cores))
        cases: dict[str, Measure] = {ONE: partial(_load, bench, one)}
        try:
            two = stack.enter_context(bench.fresh(TABSERVE, "--workers", "2", cores=cores))
            cases[TWO] = partial(_load, bench, two)
        except DidNotStart as reason:
            outcome.skipped[TWO] = f"did not start with --workers 2: {reason}"
        bench.take_turns(outcome, cases)
    if bench.cores.client <= cores:
        outcome.notes.append(
            "There are two cores only, and the client takes its time from the workers; a third one would help."
        )
    return outcome


def _load(bench: Bench, server: Server, seconds: float) -> dict[str, float]:
    load = closed_loop(server.address, json_rows(bench.store.rows(ROWS)), CONNECTIONS, seconds)
    return {"rows_per_s": load.requests_per_s * ROWS, "p99_ms": load.p99_ms, "client_busy": load.client_busy}
