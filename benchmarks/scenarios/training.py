"""The latency of one row while trainings run one after the other."""

from __future__ import annotations

import shutil
import time

from benchmarks.bench import Bench
from benchmarks.clients import Failed
from benchmarks.open_loop import Beside, evenly, open_loop
from benchmarks.outcomes import Outcome
from benchmarks.requests import json_rows, train
from benchmarks.scenarios.latency import LONGEST_S, MODEST_RATE_PER_S, figures_of
from benchmarks.store import Store
from benchmarks.systems import TABSERVE, running

EPOCHS = 40_000  # so many seconds of gradient steps that the start of the process counts little
QUIET, TRAINING = "tabserve, quiet", "tabserve, training"


def beside_training(bench: Bench) -> Outcome:
    """p99 while a training runs against p99 without; the training has to live on the server's own core."""
    title = f"One row, {MODEST_RATE_PER_S:.0f} requests/s, while trainings of {EPOCHS:,} epochs follow each other"
    outcome = Outcome(scenario="beside_training", title=title, reference=QUIET, compared_by="p99_ms")
    bench.close()  # the core is to be shared with the training only
    # versions are published: not into the store that the other scenarios serve from
    store = Store(shutil.copytree(bench.store.folder, bench.work / "training-store"))
    request = json_rows(bench.store.rows(1))
    with running(TABSERVE, store, bench.work, bench.cores.server) as server:
        open_loop(server.address, request, evenly(MODEST_RATE_PER_S, bench.plan.warm_up_s))
        for number in range(bench.plan.rounds):
            wanted_s = 2 * bench.plan.seconds
            bench.progress.say(f"beside_training: quiet, round {number + 1} of {bench.plan.rounds}")
            outcome.add(QUIET, **figures_of(open_loop(server.address, request, evenly(MODEST_RATE_PER_S, wanted_s))))
            bench.progress.say(f"beside_training: training, round {number + 1} of {bench.plan.rounds}")
            began = time.perf_counter()

            def again(asked: int, began: float = began, wanted_s: float = wanted_s) -> bytes | None:
                more = asked == 0 or time.perf_counter() - began < wanted_s
                return train(EPOCHS, seed=asked).wire() if more else None

            beside = Beside(server.address, again)
            arrivals = open_loop(server.address, request, evenly(MODEST_RATE_PER_S, LONGEST_S), beside=beside)
            if beside.failures:
                raise Failed(f"{beside.failures} trainings did not end within their request")
            outcome.add(TRAINING, **figures_of(arrivals), trainings=beside.replies)
    outcome.notes.append("Server and training share one core; the client has the other. The training has niceness 19.")
    return outcome
