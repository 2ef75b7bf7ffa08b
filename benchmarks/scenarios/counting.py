"""The cost of the metrics for a request of one row: the counting alone."""

from __future__ import annotations

import time
from functools import partial

import numpy as np

from app.telemetry.metrics import ServingMetrics
from benchmarks.bench import Bench, Measure
from benchmarks.cores import pinned
from benchmarks.outcomes import Outcome
from modelstore import NumericFeature

COUNTING = "counting"
CLOCK = "the clock alone"
CLOCK_READS = 8  # of the short way: arrival, parsed, batch begun, joined, inferred, apart, answer begun, written
AT_ONCE = 1000
CLASSES = ("malignant", "benign")
DECILES = (-1.3, -0.8, -0.5, -0.25, 0.0, 0.25, 0.5, 0.8, 1.3)
FEATURES = [
    NumericFeature(name=str(column), mean=0, std=1, min=-4, max=4, quantiles=DECILES) for column in range(30)
]  # as many as the breast cancer data have


def counting(bench: Bench) -> Outcome:
    """Count as the fast path, the predictor and the data plane do for a request that is a batch of its own.

    A request that shares its batch pays only its part of the batch's counts.
    """
    outcome = Outcome(scenario="counting", title="What the figures cost a one-row request")
    metrics = ServingMetrics()
    with pinned(bench.cores.server):
        cases: dict[str, Measure] = {COUNTING: partial(_counting_us, metrics), CLOCK: _clock_us}
        bench.take_turns(outcome, cases)
    return outcome


def _counting_us(metrics: ServingMetrics, seconds: float) -> dict[str, float]:
    counts = metrics.statistics.version("cancer", 1, CLASSES, FEATURES)
    route = metrics.requests("/predict/{model}", "POST")
    x, probabilities = np.zeros((1, len(FEATURES)), np.float32), np.array([[0.25, 0.75]], np.float32)
    clock = time.perf_counter_ns

    def count() -> None:
        metrics.in_progress += 1
        arrived = clock()
        parsed = clock()
        begun = clock()
        joined = clock()
        inferred = clock()
        ended = clock()
        counts.ran(requests=1, rows=1, times_ns=(joined - begun, inferred - joined, ended - inferred))
        counts.count_sample(x, probabilities)
        counts.count_predictions(1, 1)
        written = clock()
        counts.count_answer((parsed - arrived, begun - parsed, ended - begun, clock() - written))
        metrics.in_progress -= 1
        route.count(200, 250e-6)

    done, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        for _ in range(AT_ONCE):
            count()
        done += AT_ONCE
    return {"us": took / done * 1e6}


def _clock_us(seconds: float) -> dict[str, float]:
    clock, done, began = time.perf_counter_ns, 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        for _ in range(AT_ONCE * CLOCK_READS):
            clock()
        done += AT_ONCE
    return {"us": took / done * 1e6}
