"""Open Inference Protocol: binary tensors beside the forward pass, one row beside JSON."""

from __future__ import annotations

from functools import partial

from benchmarks.bench import Bench, Measure, answer
from benchmarks.outcomes import Outcome
from benchmarks.requests import Request, infer_json, infer_tensor, json_rows
from benchmarks.scenarios.bulk import FORWARD_PASS, take_turns_with_forward_pass
from benchmarks.scenarios.throughput import LARGE_ROWS, rows_load
from benchmarks.systems import TABSERVE

ONE_OUTPUT, ALL_OUTPUTS = "tabserve, OIP probabilities", "tabserve, OIP all outputs"
OWN_ROUTE, OIP_ROUTE = "tabserve, /predict", "tabserve, OIP"


def oip_10000(bench: Bench) -> Outcome:
    """Ten thousand rows as a binary tensor, 2 connections, against calling the module and nothing else."""
    title = "10,000 rows, Open Inference Protocol, binary, 2 connections"
    outcome = Outcome(scenario="oip_10000", title=title, reference=FORWARD_PASS)
    x = bench.store.rows(LARGE_ROWS)
    cases: dict[str, Measure] = {
        ONE_OUTPUT: partial(_load, bench, infer_tensor(x, "probabilities"), 2),
        ALL_OUTPUTS: partial(_load, bench, infer_tensor(x), 2),
    }
    take_turns_with_forward_pass(bench, outcome, cases)
    return outcome


def oip_one_row(bench: Bench) -> Outcome:
    """One row as JSON, one connection: the protocol's route beside our own."""
    title = "One row, JSON, one connection: Open Inference Protocol and /predict"
    outcome = Outcome(scenario="oip_one_row", title=title, reference=OWN_ROUTE, compared_by="p50_ms")
    x = bench.store.rows(1)
    cases: dict[str, Measure] = {
        OWN_ROUTE: partial(_load, bench, json_rows(x), 1),
        OIP_ROUTE: partial(_load, bench, infer_json(x), 1),
    }
    bench.take_turns(outcome, cases)
    return outcome


def _load(bench: Bench, request: Request, connections: int, seconds: float) -> dict[str, float]:
    answer(bench.server(TABSERVE), request)
    return rows_load(bench, TABSERVE, request, connections, seconds)
