"""The data plane: resolve versions, batch rows and infer, for every protocol.

It must not know HTTP or body formats.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from app.context import require_wanted
from app.errors import DeadlinePassed, ServingError
from app.inference.batch_predictions import batch_of
from app.inference.batcher import Batcher, Done, Entry
from app.inference.errors import RowQueueFull
from app.inference.predictions import Predictions
from app.inference.shadow import ShadowRunner
from app.registry.registry import ModelRegistry
from app.runtime.load import LoadedModel
from app.schema import Float32
from app.telemetry.metrics import ServingMetrics
from app.telemetry.stage_timer import Stages
from app.telemetry.version_counters import VersionCounts

# A forward pass blocks the event loop. This many rows take a small network 0.1 ms, and a hundred trees 10 ms.
MAX_BATCH_ROWS = 1024
STEP_ROWS = 2048  # most rows in one step of a request that is too large for a batch
FEWEST_STEP_ROWS = 32  # fewer would cost more turns of the loop than they save others waiting
STEP_US = 1000.0  # a step, and a batch of several requests, take no longer, as measured when the version was loaded
TIDY_S = 10.0  # longest time that an idle version stays in memory after it was removed

Rows = Batcher[Float32, Predictions]


@dataclass(frozen=True, slots=True)
class ModelQueue:
    """Batcher and counts that the requests of one version share, and the rows of one step of a large one."""

    batcher: Rows
    counts: VersionCounts
    step_rows: int


class DataPlane:
    """Computes predictions for rows; each request is answered by exactly one version."""

    def __init__(
        self,
        registry: ModelRegistry,
        metrics: ServingMetrics,
        *,
        max_queue_rows: int,
        max_wait_s: float,
        shadows: ShadowRunner | None = None,
    ) -> None:
        """Create it; `max_queue_rows` rows at most wait for a version, and a small request `max_wait_s` for others."""
        self._registry = registry
        self._metrics = metrics
        self._max_queue_rows = max_queue_rows
        self._max_wait_s = max_wait_s
        self._queues: dict[LoadedModel, ModelQueue] = {}
        self._shadows = shadows
        self._shadow_of = registry.shadows  # empty if no model has a shadow; then a batch only looks at it

    def active(self, name: str) -> LoadedModel:
        """Return the version that serves a model now, without waiting.

        Raises:
            ModelNotFound, ModelNotReady.
        """
        return self._registry.active(name)

    async def resolve(self, name: str, version: int | None) -> LoadedModel:
        """Return the version that should answer: the named one, or the active one.

        Raises:
            ModelNotFound, ModelNotReady, VersionNotFound, VersionRefused.
        """
        return self._registry.active(name) if version is None else await self._registry.resolve(name, version)

    async def infer(self, model: LoadedModel, x: Float32, deadline_ns: int | None = None) -> Predictions:
        """Answer any number of validated rows without blocking the event loop for long.

        Args:
            model: the version that answers.
            x: cells, float32, shape (N, W), N >= 1.
            deadline_ns: deadline on the clock of `time.perf_counter_ns`; no computation starts after it.

        Returns:
            The answer, of which rows may not be finite; see `find_overflows`.

        Raises:
            RowQueueFull: if too many rows wait.
            DeadlinePassed.
        """
        queue, began_ns = self._queue(model), time.perf_counter_ns()
        try:
            if len(x) > min(MAX_BATCH_ROWS, queue.step_rows):
                return await self._infer_in_steps(model, queue, x, deadline_ns)
            return await queue.batcher.result(x, len(x), deadline_ns)
        except (RowQueueFull, DeadlinePassed):
            queue.counts.count_failures(requests=1, took_ns=time.perf_counter_ns() - began_ns)
            raise

    def submit(
        self, model: LoadedModel, x: Float32, done: Done[Predictions], *, alone: bool
    ) -> Entry[Float32, Predictions]:
        """Answer a small request as `infer` does, but without a future; `done` receives the answer or the exception.

        Args:
            model: the version that answers.
            x: cells, float32, shape (N, W), 1 <= N <= MAX_BATCH_ROWS.
            done: called once.
            alone: no other request can arrive in this iteration of the event loop.

        Raises:
            RowQueueFull: if too many rows wait.
        """
        queue = self._queue(model)
        try:
            return queue.batcher.submit(x, len(x), done, alone=alone)
        except RowQueueFull:
            queue.counts.count_failures(requests=1, took_ns=0)
            raise

    def counts(self, model: LoadedModel) -> VersionCounts:
        """Return the counts of a version."""
        return self._queue(model).counts

    def counts_of_refused(self, name: str | None) -> VersionCounts | None:
        """Return the counts for a request that names no version and was refused before it was resolved."""
        try:
            return None if name is None else self.counts(self.active(name))
        except ServingError:
            return None

    def stages(self, name: str | None) -> Stages:
        """Return the timer of a request; `name` is the model's name if the request names no version."""
        return Stages(lambda: self.counts_of_refused(name))

    def count_queued(self) -> Mapping[str, int]:
        """Return the number of waiting rows of small requests, by model."""
        rows: Counter[str] = Counter()
        for model, queue in self._queues.items():
            rows[model.schema.name] += queue.batcher.queued_rows
        return rows

    async def _infer_in_steps(
        self, model: LoadedModel, queue: ModelQueue, x: Float32, deadline_ns: int | None
    ) -> Predictions:
        """Answer a large request in steps of at most about `STEP_US`; other requests run between two steps."""
        counts, size = queue.counts, queue.step_rows
        parts, took_ns, first_ns = [], 0, time.perf_counter_ns()
        for start in range(0, len(x), size):
            began_ns = time.perf_counter_ns()
            if deadline_ns is not None and deadline_ns < began_ns:
                raise DeadlinePassed
            step = x[start : start + size]
            parts.append(_forward(model, counts, step, requests=1))
            if self._shadow_of and self._shadows:
                self._shadows.offer(model, step, parts[-1])
            step_ns = time.perf_counter_ns() - began_ns
            took_ns += step_ns
            is_last = start + size >= len(x)
            counts.ran(requests=is_last, rows=len(parts[-1]), times_ns=(0, step_ns, 0))
            if not is_last:
                await asyncio.sleep(0)
                require_wanted()
        batch = batch_of(model.schema, x, np.concatenate(parts))
        batch.timing = first_ns, took_ns
        batch.count(counts)
        return Predictions(batch, 0, len(x))

    def _run(self, model: LoadedModel, counts: VersionCounts, items: Sequence[Float32]) -> list[Predictions]:
        """Run requests in one forward pass and return the part of each."""
        began_ns = time.perf_counter_ns()
        x = items[0] if len(items) == 1 else np.concatenate(items)  # (N, F)
        joined_ns = time.perf_counter_ns()
        outputs = _forward(model, counts, x, requests=len(items))
        inferred_ns = time.perf_counter_ns()
        batch = batch_of(model.schema, x, outputs)
        answers, start = [], 0
        for item in items:
            answers.append(Predictions(batch, start, start + len(item)))
            start += len(item)
        ended_ns = time.perf_counter_ns()
        batch.timing = began_ns, ended_ns - began_ns
        times_ns = (joined_ns - began_ns, inferred_ns - joined_ns, ended_ns - inferred_ns)
        counts.ran(requests=len(items), rows=len(x), times_ns=times_ns)
        batch.count(counts)
        if self._shadow_of and self._shadows:
            self._shadows.offer(model, x, outputs)
        return answers

    async def keep_tidy(self) -> None:
        """Drop the queues of idle versions now and again, forever: they would keep removed versions in memory."""
        while True:
            await asyncio.sleep(TIDY_S)
            self._forget_idle()

    def _queue(self, model: LoadedModel) -> ModelQueue:
        """Return the queue of a version, which is created with the first request."""
        queue = self._queues.get(model)
        if queue is None:
            self._forget_idle()
            schema, features = model.schema, model.manifest.features
            counts = self._metrics.statistics.version(schema.name, schema.version, schema.classes, features)
            step_rows = min(max(model.engine.rows_within(STEP_US), FEWEST_STEP_ROWS), STEP_ROWS)
            batcher = Batcher(
                partial(self._run, model, counts),
                max_batch_rows=min(MAX_BATCH_ROWS, step_rows),
                max_queue_rows=self._max_queue_rows,
                max_wait_s=self._max_wait_s,
            )
            self._queues[model] = queue = ModelQueue(batcher, counts, step_rows)
        return queue

    def _forget_idle(self) -> None:
        """Drop the queues of versions without waiting rows; a version that is used again gets a new queue."""
        self._queues = {model: queue for model, queue in self._queues.items() if queue.batcher.queued_rows}


def _forward(model: LoadedModel, counts: VersionCounts, x: Float32, *, requests: int) -> Float32:
    """Return the outputs of a version, (N, K); count its requests as failed if it raises."""
    began_ns = time.perf_counter_ns()
    try:
        return model.infer(x)
    except Exception:
        counts.count_failures(requests=requests, took_ns=time.perf_counter_ns() - began_ns)
        raise
