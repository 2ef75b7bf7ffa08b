"""Hot swaps under load: versions change while one-row requests arrive at a fixed rate."""

from __future__ import annotations

import math

import orjson

from benchmarks.bench import Bench, answer
from benchmarks.clients import Reply
from benchmarks.open_loop import Beside, evenly, open_loop
from benchmarks.outcomes import Outcome
from benchmarks.requests import Request, activate, json_rows
from benchmarks.scenarios.latency import figures_of
from benchmarks.store import MODEL, VERSIONS
from benchmarks.systems import TABSERVE

RATE_PER_S = 500.0
LONGEST_S = 600.0
TOLERANCE = 1e-5
SWAPPING, QUIET = "tabserve, swapping", "tabserve, quiet"


def swaps(bench: Bench) -> Outcome:
    """Every answer has to be that of exactly one version; p99 with swaps against p99 without."""
    count = bench.plan.swaps
    title = f"{count} hot swaps under {RATE_PER_S:.0f} requests/s"
    outcome = Outcome(scenario="swaps", title=title, reference=QUIET, compared_by="p99_ms")
    request = json_rows(bench.store.rows(1))
    bench.close()  # another service on the store would swap too
    with bench.fresh(TABSERVE) as server:
        expected = {}
        for version in VERSIONS:
            path = f"/predict/{MODEL}/versions/{version}"
            expected[version] = probabilities(answer(server, Request(path, request.body, 1)))
        open_loop(server.address, request, evenly(RATE_PER_S, bench.plan.warm_up_s))
        rounds = min(bench.plan.rounds, 4)
        for number in range(rounds):
            share = 2 * math.ceil(count / rounds / 2)  # even, so that each round ends with the version it began with
            bench.progress.say(f"swaps: quiet, round {number + 1} of {rounds}")
            quiet = open_loop(server.address, request, evenly(RATE_PER_S, bench.plan.seconds * 2))
            outcome.add(QUIET, **figures_of(quiet))
            bench.progress.say(f"swaps: swapping {share} times, round {number + 1} of {rounds}")
            beside = Beside(server.address, lambda done, share=share: _swap(done, share))  # type: ignore[misc]
            schedule = evenly(RATE_PER_S, LONGEST_S)
            busy = open_loop(server.address, request, schedule, beside=beside, keep=True)
            foreign = sum(not is_from_one(reply, expected) for reply in busy.replies)
            figures = {"swaps": beside.replies, "failed_swaps": beside.failures, "mixed_answers": foreign}
            outcome.add(SWAPPING, **figures_of(busy), **figures)
    outcome.notes.append(
        "Both versions have served before, so a swap finds them loaded and proved; a version never loaded costs more."
    )
    return outcome


def probabilities(body: bytes) -> dict[str, float]:
    """Return the probabilities of the first row of an answer."""
    found: dict[str, float] = orjson.loads(body)["predictions"][0]["probabilities"]
    return found


def is_from_one(reply: Reply, expected: dict[int, dict[str, float]]) -> bool:
    """Tell whether an answer names a version and has that version's probabilities."""
    document = orjson.loads(reply.body)
    wanted = expected.get(document["version"])
    got = probabilities(reply.body)
    return wanted is not None and all(abs(got[name] - value) <= TOLERANCE for name, value in wanted.items())


def _swap(done: int, count: int) -> bytes | None:
    return activate(VERSIONS[(done + 1) % len(VERSIONS)]).wire() if done < count else None
