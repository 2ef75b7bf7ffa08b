"""Compute answered rows once more with the shadow of the version, and compare.

It happens in a thread after the answers, on copies of the rows: they wait in a queue of bounded size, rows beyond it
are dropped and counted, and pauses keep the work below a share of one processor. A failure is counted and changes no
answer. This module must not know HTTP, the store or a database.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.inference.batch_predictions import BatchClassification, batch_of
from app.inference.translation import Translate, make_translator
from app.receipts import ShadowAnswer
from app.runtime.load import LoadedModel
from app.schema import Float32, ModelSchema
from app.telemetry.counts_by_version import CountsByVersion
from app.telemetry.version_counters import ShadowCounts

logger = logging.getLogger(__name__)

STEP_ROWS = 2048  # rows of one step, unless a single part has more
GATHER_S = 0.005  # shortest pause between two steps, in which rows come together
LOOK_S = 10.0  # longest time that a pair stays in memory after its shadow has ended

Keep = Callable[[Sequence[ShadowAnswer]], Awaitable[None]]


class _Pair(NamedTuple):
    """A serving version and its shadow."""

    model: LoadedModel
    shadow: LoadedModel
    translate: Translate | None


class _Rows(NamedTuple):
    """Queued rows of one pair.

    Attributes:
        x: cells of the serving version, (N, W).
        outputs: what that version returned, (N, K); None for rows of which only the shadow's answer is wanted.
        macs: those of their receipts then; else none.
        time_s: seconds since 1970 when they were predicted.
    """

    pair: _Pair
    x: Float32
    outputs: Float32 | None
    macs: Sequence[bytes]
    time_s: int


class ShadowRunner:
    """Runs the shadows of all models in one process; use it from the event loop only."""

    def __init__(
        self,
        shadows: Mapping[LoadedModel, LoadedModel],
        counts: CountsByVersion,
        keep: Keep,
        *,
        max_queue_rows: int,
        share: float,
    ) -> None:
        """Create a runner with an empty queue; `keep_computing` empties it.

        Args:
            shadows: the shadow of each serving version that has one, at any time.
            counts: where agreement is counted.
            keep: keeps the shadow's answers to rows with a receipt.
            max_queue_rows: most rows that wait.
            share: largest share of the time of one processor, over 0 and at most 1.
        """
        self._shadows, self._counts, self._keep = shadows, counts, keep
        self._max_queue_rows, self._share = max_queue_rows, share
        self._queue: deque[_Rows] = deque()
        self._queued_rows = 0
        self._filled = asyncio.Event()
        self._pairs: dict[str, _Pair] = {}
        self._failing = False

    def has(self, model: LoadedModel) -> bool:
        """Return whether a version has a shadow now."""
        return model in self._shadows

    def offer(self, model: LoadedModel, x: Float32, outputs: Float32) -> None:
        """Queue rows (N, W) and their outputs (N, K) for comparison with the shadow of the version, if it has one."""
        if (shadow := self._shadows.get(model)) is not None:
            self._add(_Rows(self._pair(model, shadow), x, outputs, (), 0))

    def offer_receipts(self, model: LoadedModel, x: Float32, macs: Sequence[bytes], time_s: int) -> None:
        """Queue rows (N, W) for the answers of the shadow, if the version has one; they are kept under the receipts."""
        if (shadow := self._shadows.get(model)) is not None:
            self._add(_Rows(self._pair(model, shadow), x, None, macs, time_s))

    async def keep_computing(self) -> None:
        """Compute the queued rows, and forget the pairs of ended shadows, which may be large; forever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S if self._pairs else None):
                    await self._filled.wait()
            self._pairs = {
                name: pair for name, pair in self._pairs.items() if self._shadows.get(pair.model) is pair.shadow
            }
            if self._queue:
                began_s = time.perf_counter()
                await self._compute(self._take())
                took_s = time.perf_counter() - began_s
                await asyncio.sleep(max(GATHER_S, took_s * (1 / self._share - 1)))

    def _add(self, rows: _Rows) -> None:
        count = len(rows.x)
        if self._queued_rows + count > self._max_queue_rows:
            self._counts_of(rows.pair).count_dropped(count)
            return
        # the cells may be a part of a body, which would stay in memory
        self._queue.append(rows._replace(x=rows.x.copy()))
        self._queued_rows += count
        self._filled.set()

    def _take(self) -> list[_Rows]:
        """Return rows of one pair from the head of the queue."""
        taken = [self._queue.popleft()]
        count = len(taken[0].x)
        while self._queue and self._queue[0].pair is taken[0].pair and count + len(self._queue[0].x) <= STEP_ROWS:
            taken.append(self._queue.popleft())
            count += len(taken[-1].x)
        self._queued_rows -= count
        if not self._queue:
            self._filled.clear()
        return taken

    async def _compute(self, rows: Sequence[_Rows]) -> None:
        pair = rows[0].pair
        counts, left = self._counts_of(pair), sum(len(one.x) for one in rows)
        try:
            compared = await asyncio.to_thread(_compare, pair, rows)
            counts.count_compared(compared.rows, compared.same, compared.distance)
            counts.count_failed(compared.failed)
            left = len(compared.answers)
            if compared.answers:
                await self._keep(compared.answers)
            self._failing = False
        except Exception as error:
            counts.count_failed(left)
            if not self._failing:  # once, not with every batch
                what = (pair.shadow.schema.name, pair.shadow.schema.version)
                logger.warning("the shadow %s version %d could not be compared", *what, exc_info=error)
            self._failing = True

    def _counts_of(self, pair: _Pair) -> ShadowCounts:
        """Return the counts of a pair, which begin again if those of its version were dropped meanwhile."""
        schema = pair.model.schema
        return self._counts.shadow(schema.name, schema.version, pair.shadow.schema.version)

    def _pair(self, model: LoadedModel, shadow: LoadedModel) -> _Pair:
        name = model.schema.name
        known = self._pairs.get(name)
        if known is not None and known.model is model and known.shadow is shadow:
            return known
        made = self._pairs[name] = _Pair(model, shadow, make_translator(model.schema, shadow.schema))
        self._counts_of(made)  # zeros, so that rate() sees the first increment
        return made


class _Compared(NamedTuple):
    """The result of one step.

    Attributes:
        rows: rows that were compared; `same` of them got the same answer.
        distance: sum of the absolute differences of quantities.
        failed: rows for which the shadow overflows.
        answers: to rows with a receipt.
    """

    rows: int
    same: int
    distance: float
    failed: int
    answers: list[ShadowAnswer]


def _compare(pair: _Pair, parts: Sequence[_Rows]) -> _Compared:
    """Compute rows with the shadow and compare; call it from a thread."""
    sent = [part for part in parts if part.outputs is not None]
    kept = [part for part in parts if part.outputs is None]
    x = np.concatenate([part.x for part in (*sent, *kept)])  # (N, W), of which the first rows are compared
    cells = x if pair.translate is None else pair.translate(x)
    outputs = pair.shadow.infer(cells)
    good, ours = _find_finite(outputs), _choose_answers(pair.shadow.schema, cells, outputs)
    receipts = [(mac, part.time_s) for part in kept for mac in part.macs]
    first, version = len(x) - len(receipts), pair.shadow.schema.version
    answers = [
        ShadowAnswer(mac, version, time_s, answer)
        for (mac, time_s), answer, is_good in zip(receipts, ours[first:].tolist(), good[first:].tolist(), strict=True)
        if is_good
    ]
    rows, same, distance = 0, 0, 0.0
    if sent:
        served = np.concatenate([part.outputs for part in sent if part.outputs is not None])
        usable, theirs = good[:first] & _find_finite(served), _choose_answers(pair.model.schema, x[:first], served)
        gap = np.abs(ours[:first][usable] - theirs[usable])
        rows, same = len(gap), int(np.count_nonzero(gap == 0))
        distance = 0.0 if pair.model.schema.classes else float(gap.sum())
    return _Compared(rows, same, distance, int(np.count_nonzero(~good)), answers)


def _find_finite(outputs: Float32) -> NDArray[np.bool_]:
    """Return which rows of outputs (N, K) are finite, (N,)."""
    finite: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(outputs), axis=1)
    return finite


def _choose_answers(schema: ModelSchema, x: Float32, outputs: Float32) -> NDArray[np.float64]:
    """Return the index of the class, or the quantity, that is the answer to each row, (N,)."""
    batch = batch_of(schema, x, outputs)
    found = batch.winners if isinstance(batch, BatchClassification) else outputs[:, 0]
    return found.astype(np.float64)
