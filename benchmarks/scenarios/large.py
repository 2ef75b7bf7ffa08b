"""A body too large for memory, produced while its answer is read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.clients import Failed
from benchmarks.outcomes import Outcome
from benchmarks.requests import Request, csv_rows
from benchmarks.streaming import stream
from benchmarks.systems import TABSERVE, Server, peak_mb, reset_peak, resident_mb

PART_ROWS = 1000
ROUNDS = 3


def large_csv(bench: Bench) -> Outcome:
    """CSV of more rows than fit: the memory of the server at its highest above that at rest, and who was first."""
    parts = max(1, bench.plan.large_rows // PART_ROWS)
    title = f"{parts * PART_ROWS:,} rows of CSV in one request, made while the answer is read"
    outcome = Outcome(scenario="large_csv", title=title)
    request = csv_rows(bench.store.rows(PART_ROWS), bench.store.features)
    bench.close()
    with bench.fresh(TABSERVE) as server:
        idle_mb = resident_mb(server.process.pid)
        for number in range(min(ROUNDS, bench.plan.rounds)):
            bench.progress.say(f"large_csv: {parts * PART_ROWS:,} rows, round {number + 1}")
            outcome.add(TABSERVE, **_figures(server, request, parts, idle_mb))
    if idle_mb is None:
        outcome.notes.append("Memory is read from /proc, which is not here.")
    return outcome


def _figures(server: Server, request: Request, parts: int, idle_mb: float | None) -> dict[str, float]:
    reset_peak(server.process.pid)
    found = stream(server.address, request, _body(request, parts))
    if found.lines != parts * PART_ROWS + 1:
        raise Failed(f"answers {found.lines} lines to {parts * PART_ROWS} rows and a header")
    figures = {
        "rows_per_s": parts * PART_ROWS / found.elapsed_s,
        "first_answer_s": found.first_answer_s,
        "last_sent_s": found.last_sent_s,
    }
    peak = peak_mb(server.process.pid)
    return figures if idle_mb is None or peak is None else {**figures, "peak_above_idle_mb": peak - idle_mb}


def _body(request: Request, parts: int) -> Iterator[bytes]:
    """Yield the header line, and then the same rows again and again."""
    header, feed, rows = request.body.partition(b"\n")
    yield header + feed
    yield from itertools.repeat(rows, parts)
