"""Requests of 1, 100 and 10,000 rows to each learner, alone and beside each other."""

from __future__ import annotations

import csv
from functools import partial
from itertools import cycle, islice

import orjson

from benchmarks.bench import Bench, Measure
from benchmarks.closed_loop import closed_loop
from benchmarks.outcomes import Outcome
from benchmarks.requests import Request
from benchmarks.scenarios.latency import ALONE, MODEST_RATE_PER_S, beside
from benchmarks.scenarios.throughput import LARGE_ROWS
from benchmarks.store import PROJECT, Store, fit
from benchmarks.systems import TABSERVE, Server
from modelstore import ModelRepository

LEARNERS = ("linear", "mlp", "realmlp", "trees", "auto")
TABLE, TARGET = PROJECT / "data" / "churn.csv", "churned"
PLANNED, BUDGET_S = ("realmlp", "trees", "auto"), 15  # the figures are of answers, which hardly depend on it
SIZES = (1, 100, LARGE_ROWS)


def learners(bench: Bench) -> Outcome:
    """A version of each learner, trained on data/churn.csv: half of its columns are text."""
    title = "Each learner on data/churn.csv (JSON objects, one connection): p50 in ms"
    outcome = Outcome(scenario="learners", title=title)
    with bench.fresh(TABSERVE, store=_trained(bench), ready=_request(LEARNERS[0], 1)) as server:
        bench.take_turns(outcome, {name: _case(server, name) for name in LEARNERS})
    return outcome


def beside_learners(bench: Bench) -> Outcome:
    """One row at a modest fixed rate, with and without requests of 10,000 rows to the same version beside it."""
    title = f"One row, {MODEST_RATE_PER_S:.0f} requests/s, beside requests of {LARGE_ROWS:,} rows to the same version"
    outcome = Outcome(scenario="beside_learners", title=title)
    with bench.fresh(TABSERVE, store=_trained(bench), ready=_request(LEARNERS[0], 1)) as server:
        cases: dict[str, Measure] = {}
        for name in LEARNERS:
            one = _request(name, 1)
            cases[name + ALONE] = partial(beside, bench, server, one, None)
            cases[f"{name}, bulk"] = partial(beside, bench, server, one, _request(name, LARGE_ROWS))
        bench.take_turns(outcome, cases)
    return outcome


def _trained(bench: Bench) -> Store:
    """Return a store with a model for each learner, which are trained the first time."""
    store = Store(bench.store.folder.parent / "learners")
    for name in LEARNERS:
        if not ModelRepository(store.folder).versions(name):
            bench.progress.say(f"learners: training {name}")
            options = ["--data", str(TABLE), "--target", TARGET, "--set", f"learner={name}"]
            if name in PLANNED:
                options += ["--set", f"budget_s={BUDGET_S}"]
            fit(store.folder, name, *options)
    return store


def _case(server: Server, name: str) -> Measure:
    return partial(_load, server, [_request(name, rows) for rows in SIZES])


def _load(server: Server, requests: list[Request], seconds: float) -> dict[str, float]:
    return {
        f"p50_ms@{request.rows}": closed_loop(
            server.address, request, 1, seconds / len(requests), wrk=request.rows < LARGE_ROWS
        ).p50_ms
        for request in requests
    }


def _request(name: str, rows: int) -> Request:
    """Return rows of the table as JSON objects; a number is one where it is written as one."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        found = [{column: _value(text) for column, text in row.items()} for row in csv.DictReader(file)]
    return Request(f"/predict/{name}", orjson.dumps({"instances": list(islice(cycle(found), rows))}), rows)


def _value(text: str) -> float | str | None:
    try:
        return float(text)
    except ValueError:
        return text or None
