"""Keep ids and inputs of predicted rows, in batches that are written in a thread.

An answer with ids is sent once they are in the database, so that no id that a client saw accepted is lost; if that is
impossible, the request is refused. Inputs are a sample that the operator wants: no answer waits for them, and those
that cannot be written are counted as lost. This module must not know HTTP or SQL.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import numpy as np
import orjson

from app.context import waiting
from app.errors import StoreUnavailable
from app.inference.additions.keeping import KeptRow
from app.jobs.kept_rows import KeptId, KeptInput
from app.receipts import read_receipt
from app.settings import Settings
from app.telemetry.metrics import ServingMetrics

logger = logging.getLogger(__name__)

MOST_WAITING = 65_536  # ids and inputs that wait to be written, in one process
AT_ONCE = 4096  # written in one transaction, unless a request alone has more
STEP_ROWS = 64  # made ready in one step, which takes less than half a millisecond
CLOSE_DEADLINE_S = 6.0
DAY_S = 86_400

Write = Callable[[Sequence[KeptId], Sequence[KeptInput]], Awaitable[None]]
"""Writes ids and inputs; may raise StoreUnavailable."""


class _Waiting(NamedTuple):
    ids: list[KeptId]
    inputs: list[KeptInput]
    written: asyncio.Future[None] | None  # None if no request waits for it

    @property
    def size(self) -> int:
        """Return the number of ids and inputs."""
        return len(self.ids) + len(self.inputs)


class Keeping:
    """Keeps ids and inputs as the settings say; use it from the event loop only."""

    def __init__(self, settings: Settings, write: Write, metrics: ServingMetrics) -> None:
        """Create it; `write` writes to the database, and nothing before rows are to be kept."""
        self._id_days, self._input_days = settings.feedback_id_days, settings.keep_inputs_days
        self._share = settings.keep_inputs_share
        self._columns = frozenset(filter(None, map(str.strip, settings.keep_inputs_columns.split(","))))
        self._write_all, self._metrics = write, metrics
        self._draw = np.random.default_rng()
        self._queue: deque[_Waiting] = deque()
        self._size = 0
        self._writing: asyncio.Task[None] | None = None

    @property
    def keeps_ids(self) -> bool:
        """Return whether ids are kept at all."""
        return self._id_days > 0

    def sample(self, rows: Sequence[int]) -> Sequence[int]:
        """Return those of the rows, by position, whose inputs are to be kept: each with the same chance."""
        if not self._share:
            return ()
        return [
            row for row, drawn in zip(rows, self._draw.random(len(rows)).tolist(), strict=True) if drawn < self._share
        ]

    def keeps_column(self, name: str) -> bool:
        """Return whether the values of a column may be kept."""
        return not self._columns or name in self._columns

    async def keep(self, rows: Sequence[KeptRow]) -> None:
        """Keep rows; return once their ids are in the database.

        Raises:
            StoreUnavailable: if there are ids and the database cannot be written now, or too many wait for it.
        """
        ids: list[KeptId] = []
        inputs: list[KeptInput] = []
        for start in range(0, len(rows), STEP_ROWS):
            if start:
                await asyncio.sleep(0)  # other requests run
            self._record(rows[start : start + STEP_ROWS], ids, inputs)
        if not (ids or inputs):
            return
        if self._size >= MOST_WAITING:
            self._metrics.count_inputs("lost", len(inputs))
            if ids:
                raise StoreUnavailable("too many ids wait to be kept; try again in a moment")
            return
        written = asyncio.get_running_loop().create_future() if ids else None
        self._queue.append(_Waiting(ids, inputs, written))
        self._size += self._queue[-1].size
        if self._writing is None:  # in a context of its own: it is not part of this request
            self._writing = asyncio.create_task(self._write(), name="ids and inputs", context=contextvars.Context())
        if written is not None:
            with waiting():
                await written

    async def close(self) -> None:
        """Wait until all that waits is written, or `CLOSE_DEADLINE_S` is over; what is left is lost, and logged."""
        if self._writing is not None and (await asyncio.wait((self._writing,), timeout=CLOSE_DEADLINE_S))[1]:
            self._writing.cancel()
            left = sum(len(each.inputs) for each in self._queue)
            logger.warning("the inputs of %d rows were not kept before the service stopped", left)

    def _record(self, rows: Sequence[KeptRow], ids: list[KeptId], inputs: list[KeptInput]) -> None:
        now_s = int(time.time())
        for row in rows:
            if row.id is not None:
                ids.append(KeptId(row.model, row.id, row.receipt, now_s + self._id_days * DAY_S))
            if row.inputs is not None:
                receipt = read_receipt(row.receipt)
                assert receipt is not None
                expires_s = receipt.time_s + self._input_days * DAY_S
                text = orjson.dumps(row.inputs).decode()
                inputs.append(KeptInput(receipt.mac, row.model, row.version, receipt.time_s, expires_s, text))

    async def _write(self) -> None:
        """Write all that waits, in transactions of about `AT_ONCE`."""
        try:
            while self._queue:
                await self._write_some(self._take())
        finally:
            self._writing = None

    def _take(self) -> list[_Waiting]:
        taken = [self._queue.popleft()]
        size = taken[0].size
        while self._queue and size + self._queue[0].size <= AT_ONCE:
            taken.append(self._queue.popleft())
            size += taken[-1].size
        self._size -= size
        return taken

    async def _write_some(self, some: Sequence[_Waiting]) -> None:
        ids, inputs = [one for each in some for one in each.ids], [one for each in some for one in each.inputs]
        error: Exception | None = None
        try:
            await self._write_all(ids, inputs)
        except StoreUnavailable as unavailable:
            error = StoreUnavailable(f"ids cannot be kept now, so nothing is predicted: {unavailable}")
            if inputs:
                logger.warning("the inputs of %d rows could not be kept: %s", len(inputs), unavailable)
        except Exception as unexpected:  # whatever it is, no request may wait for ever
            error = unexpected
            logger.exception("%d ids and the inputs of %d rows could not be kept", len(ids), len(inputs))
        self._metrics.count_inputs("lost" if error else "kept", len(inputs))
        for written in (each.written for each in some):
            if written is None or written.done():
                continue
            if error is None:
                written.set_result(None)
            else:
                written.set_exception(error)
