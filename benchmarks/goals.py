"""The goals as ratios within one run."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.scenarios import counting
from benchmarks.scenarios.bulk import ARROW, FLOAT32, FORWARD_PASS
from benchmarks.scenarios.inference import ONE_OUTPUT
from benchmarks.scenarios.latency import ALONE
from benchmarks.scenarios.starting import IMPORT_TORCH
from benchmarks.scenarios.swaps import QUIET, SWAPPING
from benchmarks.scenarios.throughput import ASGI_ONNX_COLUMNS, COLUMNS
from benchmarks.scenarios.training import QUIET as QUIET_JOBS
from benchmarks.scenarios.training import TRAINING
from benchmarks.scenarios.trust import EXPLAINING, SHADOWED
from benchmarks.scenarios.workers import ONE, TWO
from benchmarks.systems import ASGI, ASGI_ONNX, CONSTANT, FASTAPI, TABSERVE


@dataclass(frozen=True)
class Figure:
    """One system's metric in a scenario."""

    system: str
    metric: str


@dataclass(frozen=True)
class Goal:
    """A figure, or its ratio to another one, and its bound.

    Attributes:
        text: the comparison, for people.
        over: the figure to divide by; None if the figure itself is bounded.
        bound: what the median has to reach.
        at_least: whether the bound is a lower one.
        every_round: no round may miss it, instead of the median.
    """

    text: str
    scenario: str
    figure: Figure
    over: Figure | None
    bound: float
    at_least: bool = True
    every_round: bool = False

    @property
    def wanted(self) -> str:
        """Return the bound for people."""
        if not self.bound:
            return "0"
        return f"{'>=' if self.at_least else '<='} {self.bound:g}"


def _ratio(text: str, place: str, pair: tuple[str, str], bound: float) -> Goal:
    scenario, _, metric = place.partition(".")
    figure, over = (Figure(system, metric) for system in pair)
    return Goal(text, scenario, figure, over, bound, at_least=metric.endswith("_per_s"))


def _none(text: str, scenario: str, figure: Figure) -> Goal:
    return Goal(text, scenario, figure, None, 0, at_least=False, every_round=True)


GOALS = (
    _ratio(
        "1 row, 64 connections: requests/s over the constant's",
        "one_row_64.requests_per_s",
        (TABSERVE, CONSTANT),
        0.75,
    ),
    _ratio(
        "1 row, 64 connections: requests/s over hand-written FastAPI's",
        "one_row_64.requests_per_s",
        (TABSERVE, FASTAPI),
        5,
    ),
    _ratio("1 row, 1 connection: p50 over the constant's", "one_row_1.p50_ms", (TABSERVE, CONSTANT), 2.5),
    _ratio("100 rows, 8 connections: rows/s over bare ASGI's", "rows_100.rows_per_s", (TABSERVE, ASGI), 1.5),
    _ratio("10,000 rows, objects: rows/s over bare ASGI's", "rows_10000.rows_per_s", (TABSERVE, ASGI), 2),
    _ratio("10,000 rows, columns: rows/s over bare ASGI's", "rows_10000.rows_per_s", (COLUMNS, ASGI), 2),
    _ratio(
        "10,000 rows, float32: rows/s over the forward pass's",
        "binary_10000.rows_per_s",
        (FLOAT32, FORWARD_PASS),
        0.6,
    ),
    _ratio("10,000 rows, Arrow: rows/s over the forward pass's", "binary_10000.rows_per_s", (ARROW, FORWARD_PASS), 0.6),
    Goal(
        "half of capacity: p99 over p50",
        "half_capacity",
        Figure(TABSERVE, "p99_ms"),
        Figure(TABSERVE, "p50_ms"),
        3,
        at_least=False,
    ),
    _ratio(
        "1 row beside JSON bulk of 100,000: p99 over that without",
        "beside_bulk.p99_ms",
        (TABSERVE + ", JSON bulk", TABSERVE + ALONE),
        3,
    ),
    _ratio(
        "1 row beside float32 bulk of 100,000: p99 over that without",
        "beside_bulk.p99_ms",
        (TABSERVE + ", float32 bulk", TABSERVE + ALONE),
        3,
    ),
    _ratio(
        "1 row beside 5 explained rows a second: p99 over that without",
        "beside_explained.p99_ms",
        (EXPLAINING, TABSERVE + ALONE),
        1.2,
    ),
    _ratio(
        "1 row with a shadow that computes it, too: p99 over that without",
        "beside_shadow.p99_ms",
        (SHADOWED, TABSERVE + ALONE),
        1.2,
    ),
    _ratio("start to first 200 over `import torch`", "start.start_s", (TABSERVE, IMPORT_TORCH), 1.5),
    Goal(
        "first request over the median, worst batch size",
        "first_requests",
        Figure(TABSERVE, "worst_first_over_median"),
        None,
        2,
        at_least=False,
    ),
    _none("hot swaps: failed requests", "swaps", Figure(SWAPPING, "failures")),
    _none("hot swaps: failed swaps", "swaps", Figure(SWAPPING, "failed_swaps")),
    _none("hot swaps: answers of no single version", "swaps", Figure(SWAPPING, "mixed_answers")),
    _ratio("hot swaps: p99 over that without", "swaps.p99_ms", (SWAPPING, QUIET), 2),
    _ratio(
        "1 row while a training runs: p99 over that without",
        "beside_training.p99_ms",
        (TRAINING, QUIET_JOBS),
        2,
    ),
    Goal(
        "us that the figures of /metrics cost a one-row request",
        "counting",
        Figure(counting.COUNTING, "us"),
        None,
        5,
        at_least=False,
    ),
    _ratio(
        "1 row, 64 connections: requests/s over those of ASGI with ONNX Runtime",
        "one_row_64.requests_per_s",
        (TABSERVE, ASGI_ONNX),
        2.5,
    ),
    _ratio(
        "1 row, 1 connection: requests/s over those of ASGI with ONNX Runtime",
        "one_row_1.requests_per_s",
        (TABSERVE, ASGI_ONNX),
        1,
    ),
    _ratio(
        "10,000 rows, columns: rows/s over those of ASGI with ONNX Runtime",
        "rows_10000.rows_per_s",
        (COLUMNS, ASGI_ONNX_COLUMNS),
        1,
    ),
    _ratio("100 rows, 8 connections: rows/s over bare ASGI's", "rows_100.rows_per_s", (TABSERVE, ASGI), 2),
    _ratio(
        "1 row, 64 connections: requests/s over the constant's",
        "one_row_64.requests_per_s",
        (TABSERVE, CONSTANT),
        0.8,
    ),
    _ratio("2 workers: rows/s over 1 worker's", "workers.rows_per_s", (TWO, ONE), 1.7),
    Goal(
        "large CSV: MB above idle at the highest",
        "large_csv",
        Figure(TABSERVE, "peak_above_idle_mb"),
        None,
        64,
        at_least=False,
        every_round=True,
    ),
    Goal(
        "large CSV: first bytes of the answer over last of the request, both from the start",
        "large_csv",
        Figure(TABSERVE, "first_answer_s"),
        Figure(TABSERVE, "last_sent_s"),
        1,
        at_least=False,
        every_round=True,
    ),
    _ratio(
        "10,000 rows, binary tensors, probabilities: rows/s over the forward pass's",
        "oip_10000.rows_per_s",
        (ONE_OUTPUT, FORWARD_PASS),
        0.6,
    ),
    Goal(
        "10,000 rows, binary tensors, probabilities: rows/s, 5 times the 630,000 of Triton's Python backend",
        "oip_10000",
        Figure(ONE_OUTPUT, "rows_per_s"),
        None,
        5 * 630_000,
    ),
)
