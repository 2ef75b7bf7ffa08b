"""Start to first answer, first requests of every size, and memory, in new processes."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from functools import partial

from benchmarks import systems
from benchmarks.bench import Bench, Measure
from benchmarks.clients import Connection, Failed
from benchmarks.closed_loop import closed_loop
from benchmarks.cores import pinned
from benchmarks.outcomes import Outcome
from benchmarks.requests import Request, json_rows
from benchmarks.systems import ASGI, CONSTANT, FASTAPI, TABSERVE, DidNotStart, Server

IMPORT_TORCH = "import torch"
TWO_WORKERS = "tabserve, 2 workers"
PAUSE_S = 0.3
READY = Request("/readyz", b"", 0, method="GET")


def start(bench: Bench) -> Outcome:
    """Process start to the first 200 on a prediction, against `python -c "import torch"`; files in the page cache."""
    outcome = Outcome(scenario="start", title="Process start to first prediction", reference=IMPORT_TORCH)
    bench.close()
    cases: dict[str, Measure] = {IMPORT_TORCH: partial(_import_torch, bench)}
    for name in (FASTAPI, ASGI, TABSERVE):
        cases[name] = partial(_start, bench, name)
    bench.take_turns(outcome, cases, rounds=bench.plan.starts, warm_up=bench.plan.starts > 1)
    return outcome


def first_requests(bench: Bench) -> Outcome:
    """The first request of each batch size after a start against the median of those that follow it.

    The worst size is judged by its median over the starts: what is slow every time is ours, a single blink the
    machine's. The order of the sizes is another one in every start, but one row always comes first. Long after, one row
    after a pause shows what a request costs that is not the first of anything, but finds the caches taken by others.
    """
    title = "First request of each batch size after a start, over the median of the following ones"
    outcome = Outcome(scenario="first_requests", title=title)
    after_pause: list[float] = []
    for number in range(bench.plan.starts):
        sizes = list(bench.plan.batch_sizes)
        if number:
            random.Random(number).shuffle(sizes)
        bench.progress.say(f"first_requests: start {number + 1} of {bench.plan.starts}")
        with bench.fresh(TABSERVE, ready=READY) as server:
            connection = Connection(server.address)
            for rows in sorted(sizes, key=lambda size: size != 1):
                first, following = _first_and_following(bench, connection, rows)
                outcome.add(TABSERVE, **{f"first_over_median@{rows}": first / following})
            time.sleep(PAUSE_S)
            first, following = _first_and_following(bench, connection, 1)
            after_pause.append(first / following)
            connection.close()
    worst = max(statistics.median(values) for values in outcome.figures[TABSERVE].values())
    outcome.add(TABSERVE, worst_first_over_median=worst)
    outcome.notes.append(
        f"One row after a pause of {PAUSE_S:g} s, long after the start, takes "
        f"{statistics.median(after_pause):.3g} times the median of the following ones."
    )
    return outcome


def memory(bench: Bench) -> Outcome:
    """Memory of a fresh process, and after load of small and of large requests."""
    outcome = Outcome(scenario="memory", title="Memory after start and after load", reference=ASGI)
    bench.server(CONSTANT)  # writes what the constant answers
    bench.close()  # pages shared with others would count in parts only
    arguments = {CONSTANT: (), FASTAPI: (), ASGI: (), TABSERVE: (), TWO_WORKERS: ("--workers", "2")}
    for label, flags in arguments.items():
        bench.progress.say(f"memory: {label}")
        name = label.partition(",")[0]
        try:
            with bench.fresh(name, *flags) as server:
                figures = _memory(bench, server)
        except DidNotStart as reason:
            outcome.skipped[label] = f"did not start: {reason}"
            continue
        if figures:
            outcome.add(label, **figures)
        else:
            outcome.skipped[label] = "memory is read from /proc, which is not here"
    outcome.notes.append("PSS, one system at a time; one run, no rounds.")
    return outcome


def _memory(bench: Bench, server: Server) -> dict[str, float]:
    before = systems.pss_mb(server.pids())
    for rows, connections in ((1, 64), (10_000, 2)):
        query = f"?rows={rows}" if server.name == CONSTANT else ""
        request = json_rows(bench.store.rows(rows), query)
        closed_loop(server.address, request, connections, bench.plan.seconds, wrk=rows == 1)
    after = systems.pss_mb(server.pids())
    return {} if before is None or after is None else {"pss_start_mb": before, "pss_loaded_mb": after}


def _import_torch(bench: Bench, _seconds: float) -> dict[str, float]:
    began = time.perf_counter()
    with pinned(bench.cores.server):
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return {"start_s": time.perf_counter() - began}


def _start(bench: Bench, name: str, _seconds: float) -> dict[str, float]:
    request = systems.first_request(name, bench.store)
    began = time.perf_counter()
    server = systems.start(name, bench.store, bench.work, bench.cores.server)
    try:
        systems.wait(server, request)
        return {"start_s": time.perf_counter() - began}
    finally:
        systems.stop(server)


def _first_and_following(bench: Bench, connection: Connection, rows: int) -> tuple[float, float]:
    wire = json_rows(bench.store.rows(rows)).wire()
    times = [_measure_s(connection, wire) for _ in range(1 + bench.plan.repeats)]
    return times[0], statistics.median(times[1:])


def _measure_s(connection: Connection, wire: bytes) -> float:
    began = time.perf_counter()
    sent = connection.send(wire)
    while connection.reply is None:
        sent = sent or connection.flush()
        connection.receive()
    elapsed = time.perf_counter() - began
    if connection.reply.status != 200:
        raise Failed(f"answered {connection.reply.status}")
    return elapsed
