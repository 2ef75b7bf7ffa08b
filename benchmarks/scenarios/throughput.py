"""Requests of 1, 100 and 10,000 JSON rows to every system, in a closed loop."""

from __future__ import annotations

from functools import partial

from benchmarks.bench import Bench, Measure, Unsupported, answer
from benchmarks.closed_loop import closed_loop
from benchmarks.outcomes import Outcome
from benchmarks.requests import Request, json_rows
from benchmarks.systems import ASGI, ASGI_ONNX, CONSTANT, FASTAPI, TABSERVE

SYSTEMS = (CONSTANT, FASTAPI, ASGI, ASGI_ONNX, TABSERVE)
COLUMNS, ASGI_ONNX_COLUMNS = "tabserve, columns", "asgi onnx, columns"
LARGE_ROWS = 10_000


def client_limit(bench: Bench) -> Outcome:
    """Our own client, which measures the open loops, could ask so fast: its rate over its share of working time."""
    outcome = Outcome(scenario="client_limit", title="Our own client against the constant, 64 connections")
    request = json_rows(bench.store.rows(1), query="?rows=1")

    def own(seconds: float) -> dict[str, float]:
        load = closed_loop(bench.server(CONSTANT).address, request, 64, seconds, wrk=False)
        return {"requests_per_s": load.requests_per_s, "client_limit_per_s": load.requests_per_s / load.client_busy}

    bench.take_turns(outcome, {"our own client": own})
    return outcome


def one_row_64(bench: Bench) -> Outcome:
    """One row, 64 connections."""
    outcome = Outcome(scenario="one_row_64", title="One row, 64 connections", reference=CONSTANT)
    bench.take_turns(outcome, {name: _case(bench, name, 1, 64) for name in SYSTEMS})
    return outcome


def one_row_1(bench: Bench) -> Outcome:
    """One row, one connection."""
    outcome = Outcome(scenario="one_row_1", title="One row, one connection", reference=CONSTANT, compared_by="p50_ms")
    bench.take_turns(outcome, {name: _case(bench, name, 1, 1) for name in SYSTEMS})
    return outcome


def rows_100(bench: Bench) -> Outcome:
    """A hundred rows, 8 connections."""
    outcome = Outcome(scenario="rows_100", title="100 rows, 8 connections", reference=ASGI)
    bench.take_turns(outcome, {name: _case(bench, name, 100, 8) for name in SYSTEMS})
    return outcome


def rows_10000(bench: Bench) -> Outcome:
    """Ten thousand rows, 2 connections; two systems also with columns instead of objects in the answer."""
    outcome = Outcome(scenario="rows_10000", title="10,000 rows, 2 connections", reference=ASGI)
    cases = {name: _case(bench, name, LARGE_ROWS, 2) for name in SYSTEMS}
    columns = json_rows(bench.store.rows(LARGE_ROWS), query="?layout=columns")
    cases[COLUMNS] = partial(_columns, bench, TABSERVE, columns)
    cases[ASGI_ONNX_COLUMNS] = partial(_columns, bench, ASGI_ONNX, columns)
    bench.take_turns(outcome, cases)
    return outcome


def rows_load(bench: Bench, name: str, request: Request, connections: int, seconds: float) -> dict[str, float]:
    """Measure a system that is running; large bodies are left to our own client, which ends between requests."""
    address = bench.server(name).address
    load = closed_loop(address, request, connections, seconds, wrk=request.rows < LARGE_ROWS)
    figures = {"requests_per_s": load.requests_per_s}
    if request.rows > 1:
        figures = {"rows_per_s": load.requests_per_s * request.rows}
    return {**figures, "p50_ms": load.p50_ms, "p99_ms": load.p99_ms, "client_busy": load.client_busy}


def _case(bench: Bench, name: str, rows: int, connections: int) -> Measure:
    request = json_rows(bench.store.rows(rows), query=f"?rows={rows}" if name == CONSTANT else "")
    return partial(rows_load, bench, name, request, connections)


def _columns(bench: Bench, name: str, request: Request, seconds: float) -> dict[str, float]:
    body = answer(bench.server(name), request)
    if b'"columns"' not in body[:4096] and body.count(b"{") > LARGE_ROWS:
        raise Unsupported("answers objects to ?layout=columns")
    return rows_load(bench, name, request, 2, seconds)
