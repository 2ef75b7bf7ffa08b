"""One row with an explanation, a set or a receipt; plain rows beside explained ones."""

from __future__ import annotations

from functools import partial

import orjson

from benchmarks.bench import Bench, Measure, answer
from benchmarks.clients import Failed, ask
from benchmarks.closed_loop import closed_loop
from benchmarks.outcomes import Outcome
from benchmarks.requests import Request
from benchmarks.scenarios.latency import ALONE, MODEST_RATE_PER_S, beside
from benchmarks.store import Store, fit
from benchmarks.systems import TABSERVE, Server
from modelstore import ModelRepository

NAME = "cancer"  # nine columns: 512 coalitions, each with 32 background rows
OPTIONS = {"explain": "?explain=true", "sets": "?confidence=0.9", "receipts": ""}
EXPLAINED_PER_S = 5
EXPLAINING = f"tabserve, {EXPLAINED_PER_S} explained rows/s"
SHADOWED = "tabserve, with a shadow"
SHADOW, ACTIVE = 1, 2  # versions of the model


def trust(bench: Bench) -> Outcome:
    """One row of nine columns with each option, one connection."""
    title = "One row of nine columns with an explanation, a set or a receipt, one connection"
    outcome = Outcome(scenario="trust", title=title, reference=TABSERVE, compared_by="p50_ms")
    store = _prepared(bench)
    with bench.fresh(TABSERVE, store=store, ready=_request(store)) as server:
        cases: dict[str, Measure] = {TABSERVE: partial(_load, server, _request(store))}
        cases |= {name: partial(_load, server, _request(store, name)) for name in OPTIONS}
        bench.take_turns(outcome, cases)
    return outcome


def beside_explained(bench: Bench) -> Outcome:
    """One row at a modest fixed rate, with and without explained rows at a lower one."""
    title = f"One row of nine columns, {MODEST_RATE_PER_S:.0f} requests/s, beside {EXPLAINED_PER_S} explained rows/s"
    outcome = Outcome(scenario="beside_explained", title=title)
    store = _prepared(bench)
    one, explained = _request(store), _request(store, "explain")
    with bench.fresh(TABSERVE, store=store, ready=one) as server:
        cases: dict[str, Measure] = {
            TABSERVE + ALONE: partial(beside, bench, server, one, None),
            EXPLAINING: partial(beside, bench, server, one, explained, pause_s=1 / EXPLAINED_PER_S),
        }
        bench.take_turns(outcome, cases)
    return outcome


def beside_shadow(bench: Bench) -> Outcome:
    """One row at a modest fixed rate, with and without a shadow that computes each of them, too."""
    title = f"One row of nine columns, {MODEST_RATE_PER_S:.0f} requests/s, with and without a shadow version"
    outcome = Outcome(scenario="beside_shadow", title=title)
    store = _prepared(bench)
    one = _request(store)
    with bench.fresh(TABSERVE, store=store, ready=one) as server:
        cases: dict[str, Measure] = {
            TABSERVE + ALONE: partial(_with_shadow, bench, server, one, method="DELETE"),
            SHADOWED: partial(_with_shadow, bench, server, one, method="POST"),
        }
        bench.take_turns(outcome, cases)
    return outcome


def _with_shadow(bench: Bench, server: Server, one: Request, seconds: float, *, method: str) -> dict[str, float]:
    """Measure plain rows after the shadow has begun (POST) or ended (DELETE)."""
    reply = ask(server.address, Request(f"/models/{NAME}/versions/{SHADOW}/shadow", b"", 0, method=method))
    if reply.status not in {200, 204, 409}:  # 409: there is none to end
        raise Failed(f"{method} shadow answers {reply.status}: {reply.body[:300]!r}")
    before = _compared_rows(server)
    figures = beside(bench, server, one, None, seconds)
    return {**figures, "compared_rows": _compared_rows(server) - before}


def _compared_rows(server: Server) -> int:
    """Return how many rows the shadow, if there is one, has computed beside the active version."""
    found = orjson.loads(answer(server, Request(f"/models/{NAME}/versions/{ACTIVE}/live", b"", 0, method="GET")))
    return int(found["shadow"]["agreement"]["rows"]) if found["shadow"] else 0


def _prepared(bench: Bench) -> Store:
    """Return the store with two versions of the model, trained if they are not there."""
    store = Store(bench.store.folder.parent / "trust")
    while len(versions := ModelRepository(store.folder).versions(NAME)) < ACTIVE:
        bench.progress.say(f"training {NAME}")
        fit(store.folder, NAME, "--seed", str(len(versions) + 1))
    return store


def _request(store: Store, option: str | None = None) -> Request:
    """Return a row of the training, with an option or without."""
    manifest = ModelRepository(store.folder).find(NAME, 1).manifest()
    body = orjson.dumps({"instances": [manifest.golden.features[0]]})
    query = OPTIONS[option] if option else ""
    return Request(f"/predict/{NAME}{query}", body, 1, receipt="1" if option == "receipts" else None)


def _load(server: Server, request: Request, seconds: float) -> dict[str, float]:
    load = closed_loop(server.address, request, 1, seconds)
    figures = {"p50_ms": load.p50_ms, "p99_ms": load.p99_ms}
    return {"requests_per_s": load.requests_per_s, **figures, "client_busy": load.client_busy}
