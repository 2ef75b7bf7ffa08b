"""Binary bodies beside the bare forward pass; rows per second by rows per request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.bench import Bench, Measure, Unsupported, answer
from benchmarks.outcomes import Outcome
from benchmarks.requests import Request, arrow_rows, float32_rows, json_rows
from benchmarks.scenarios.throughput import LARGE_ROWS, rows_load
from benchmarks.store import Rows
from benchmarks.systems import ASGI, TABSERVE

FORWARD_PASS = "forward pass"
FLOAT32, ARROW = "tabserve, float32", "tabserve, Arrow"
CHUNK = 1024


def binary_10000(bench: Bench) -> Outcome:
    """Ten thousand rows in binary, 1 and 2 connections, against calling the module and nothing else."""
    outcome = Outcome(scenario="binary_10000", title="10,000 rows, binary, 2 connections", reference=FORWARD_PASS)
    x = bench.store.rows(LARGE_ROWS)
    cases: dict[str, Measure] = {
        FLOAT32: partial(_binary, bench, partial(float32_rows, x), 2),
        ARROW: partial(_binary, bench, partial(_arrow, bench, x), 2),
    }
    take_turns_with_forward_pass(bench, outcome, cases)
    return outcome


def take_turns_with_forward_pass(bench: Bench, outcome: Outcome, cases: Mapping[str, Measure]) -> None:
    """Measure cases of ten thousand rows beside calling the module and nothing else."""
    with bench.forward_pass() as forward_pass:

        def bare(seconds: float) -> dict[str, float]:
            whole = forward_pass(LARGE_ROWS, LARGE_ROWS, seconds / 2)
            chunked = forward_pass(LARGE_ROWS, CHUNK, seconds / 2)
            return {"rows_per_s": max(whole, chunked)}

        bench.take_turns(outcome, {FORWARD_PASS: bare, **cases})
    outcome.notes.append("The forward pass is the better of one call and chunks of 1,024 rows, on the server's core.")


def curve(bench: Bench) -> Outcome:
    """Rows per request against rows per second, one connection; metrics are named `rows_per_s@N`."""
    outcome = Outcome(scenario="curve", title="Rows per request against rows/s, one connection")
    cases: dict[str, Measure] = {}
    for rows in bench.plan.curve:
        x = bench.store.rows(rows)
        kinds: dict[str, tuple[str, Callable[[], Request]]] = {
            ASGI: (ASGI, partial(json_rows, x)),
            "tabserve": (TABSERVE, partial(json_rows, x)),
            "tabserve, columns": (TABSERVE, partial(json_rows, x, "?layout=columns")),
            FLOAT32: (TABSERVE, partial(float32_rows, x)),
            ARROW: (TABSERVE, partial(_arrow, bench, x)),
        }
        for kind, (system, make) in kinds.items():
            cases[f"{kind}@{rows}"] = partial(_point, bench, system, make)
    measured = Outcome(scenario="curve", title="")
    bench.take_turns(measured, cases, rounds=max(1, bench.plan.rounds // 2))
    for case, figures in measured.figures.items():
        kind, _, rows_text = case.partition("@")
        outcome.figures.setdefault(kind, {})[f"rows_per_s@{rows_text}"] = figures["rows_per_s"]
    outcome.skipped = {case.replace("@", " with rows: "): reason for case, reason in measured.skipped.items()}
    return outcome


def _arrow(bench: Bench, x: Rows) -> Request:
    try:
        return arrow_rows(x, bench.store.features)
    except ImportError as error:
        raise Unsupported(f"pyarrow is not installed here ({error})") from error


def _binary(bench: Bench, make: Callable[[], Request], connections: int, seconds: float) -> dict[str, float]:
    request = make()
    answer(bench.server(TABSERVE), request)
    return rows_load(bench, TABSERVE, request, connections, seconds)


def _point(bench: Bench, system: str, make: Callable[[], Request], seconds: float) -> dict[str, float]:
    request = make()
    answer(bench.server(system), request)
    figures = rows_load(bench, system, request, 1, seconds / 3)
    rate = figures["rows_per_s"] if request.rows > 1 else figures["requests_per_s"]
    return {"rows_per_s": rate}
