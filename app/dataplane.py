"""What every protocol calls to predict: resolve, batch, infer, check; it must not know HTTP or body formats."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial

import numpy as np

from app.batching import Batcher, Done, Entry
from app.contract import Float32
from app.errors import MAX_PROBLEMS, DeadlinePassed, InvalidInput, Overloaded, Problem
from app.metrics import ServingMetrics
from app.patience import require_wanted
from app.registry import ModelRegistry
from app.runtime import LoadedModel
from app.scores import Answer, Scores

# One forward pass of so many rows holds the event loop for about a quarter of a millisecond (docs/performance.md).
MAX_BATCH_ROWS = 1024
STEP_ROWS = 2048  # of a request with more rows than that

OVERFLOW = "values are so far outside the training range that the model overflows"

Rows = Batcher[Float32, Answer]


class DataPlane:
    """Answers rows with probabilities, every request by exactly one version."""

    def __init__(
        self, registry: ModelRegistry, metrics: ServingMetrics, *, max_queue_rows: int, max_wait_s: float
    ) -> None:
        self._registry = registry
        self._metrics = metrics
        self._max_queue_rows = max_queue_rows
        self._max_wait_s = max_wait_s
        self._batchers: dict[LoadedModel, Rows] = {}

    def active(self, name: str) -> LoadedModel:
        """Return the version that serves a model now; no waiting.

        Raises:
            ModelNotFound, ModelNotReady.
        """
        return self._registry.active(name)

    async def resolve(self, name: str, version: int | None) -> LoadedModel:
        """Return the version that is to answer: the active one if none is named.

        Raises:
            ModelNotFound, ModelNotReady, VersionNotFound, VersionRefused.
        """
        return self._registry.active(name) if version is None else await self._registry.resolve(name, version)

    def submit(self, model: LoadedModel, x: Float32, done: Done[Answer], *, alone: bool) -> Entry[Float32, Answer]:
        """Answer a request of few rows together with others of this turn; `done` gets the answer or what went wrong.

        As after `infer`, the rows of the answer may overflow.

        Args:
            model: the version that answers.
            x: raw features, float32, shape (N, F), finite, 1 <= N <= MAX_BATCH_ROWS.
            done: called once.
            alone: no other request can be there.

        Raises:
            Overloaded: if too many rows wait.
        """
        try:
            return self._batcher(model).submit(x, len(x), done, alone=alone)
        except Overloaded:
            self._metrics.statistics.failed(_key(model), requests=1, took_ns=0)
            raise

    async def infer(self, model: LoadedModel, x: Float32, deadline_ns: int | None = None) -> Answer:
        """Answer checked rows, any number of them, without holding the event loop for long.

        Args:
            model: the version that answers.
            x: raw features, float32, shape (N, F), finite, N >= 1.
            deadline_ns: of `time.perf_counter_ns`; no row is computed after it.

        Returns:
            The answer; `overflows` tells which of its rows are not finite.

        Raises:
            Overloaded: if too many rows wait.
            DeadlinePassed.
        """
        began_ns = time.perf_counter_ns()
        try:
            if len(x) <= MAX_BATCH_ROWS:
                return await self._batcher(model).result(x, len(x), deadline_ns)
            return await self._in_steps(model, x, deadline_ns)
        except (Overloaded, DeadlinePassed):
            self._metrics.statistics.failed(_key(model), requests=1, took_ns=time.perf_counter_ns() - began_ns)
            raise

    async def _in_steps(self, model: LoadedModel, x: Float32, deadline_ns: int | None) -> Answer:
        parts = []
        for start in range(0, len(x), STEP_ROWS):
            began_ns = time.perf_counter_ns()
            if deadline_ns is not None and deadline_ns < began_ns:
                raise DeadlinePassed
            parts.append(self._forward(model, x[start : start + STEP_ROWS], requests=1))
            times_ns = (0, time.perf_counter_ns() - began_ns, 0)
            is_last = start + STEP_ROWS >= len(x)
            self._metrics.statistics.ran(_key(model), requests=is_last, rows=len(parts[-1]), times_ns=times_ns)
            if not is_last:
                await asyncio.sleep(0)  # other requests get their turn
                require_wanted()
        self._metrics.rows_answered(model.contract.name, model.contract.version, len(x))
        return Answer(Scores(model.contract, x, np.concatenate(parts)), 0, len(x))

    def _run(self, model: LoadedModel, items: Sequence[Float32]) -> list[Answer]:
        """Run requests in one forward pass and give each its part."""
        began_ns = time.perf_counter_ns()
        x = items[0] if len(items) == 1 else np.concatenate(items)  # (N, F)
        joined_ns = time.perf_counter_ns()
        probabilities = self._forward(model, x, requests=len(items))
        inferred_ns = time.perf_counter_ns()
        scores = Scores(model.contract, x, probabilities)
        self._metrics.rows_answered(model.contract.name, model.contract.version, len(x))
        answers, start = [], 0
        for item in items:
            answers.append(Answer(scores, start, start + len(item)))
            start += len(item)
        times_ns = (joined_ns - began_ns, inferred_ns - joined_ns, time.perf_counter_ns() - inferred_ns)
        self._metrics.statistics.ran(_key(model), requests=len(items), rows=len(x), times_ns=times_ns)
        return answers

    def _forward(self, model: LoadedModel, x: Float32, *, requests: int) -> Float32:
        began_ns = time.perf_counter_ns()
        try:
            return model.infer(x)
        except Exception:
            took_ns = time.perf_counter_ns() - began_ns
            self._metrics.statistics.failed(_key(model), requests=requests, took_ns=took_ns)
            raise

    def _batcher(self, model: LoadedModel) -> Rows:
        batcher = self._batchers.get(model)
        if batcher is None:
            self._forget_replaced()
            batcher = Batcher(
                partial(self._run, model),
                max_batch_rows=MAX_BATCH_ROWS,
                max_queue_rows=self._max_queue_rows,
                max_wait_s=self._max_wait_s,
                waited=partial(self._metrics.statistics.waited, _key(model)),
            )
            self._batchers[model] = batcher
        return batcher

    def _forget_replaced(self) -> None:
        """Drop the batchers of versions that have nothing waiting; one that is asked again gets a new one."""
        self._batchers = {model: batcher for model, batcher in self._batchers.items() if batcher.queued_rows}


def _key(model: LoadedModel) -> tuple[str, str]:
    return model.contract.name, str(model.contract.version)


def overflows(answer: Answer) -> list[int]:
    """Return the rows, counted from 0, whose values are so extreme that float32 overflowed inside the model."""
    if answer.scores.finite:
        return []
    rows: list[int] = np.flatnonzero(~np.isfinite(answer.probabilities).all(axis=1)).tolist()
    return rows


def require_finite(answer: Answer, first: int = 0) -> None:
    """Refuse an answer that is not finite.

    Args:
        answer: of one request; its neighbours in the batch do not count.
        first: number of its first row.

    Raises:
        InvalidInput: naming the rows.
    """
    if rows := overflows(answer):
        problems = tuple(Problem(first + row, None, OVERFLOW) for row in rows[:MAX_PROBLEMS])
        raise InvalidInput(f"row {problems[0].row}: {OVERFLOW}", problems)
