"""Deadline of the current request: a point in time, or the moment its client disconnects.

It travels in the context of the request's task, so that a queued entry can be dropped before it is computed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from app.errors import ClientGone, DeadlinePassed

LOOK_S = 0.25  # interval at which a long operation checks that its result is still wanted

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """Deadline of one request.

    Attributes:
        deadline_ns: on the clock of `time.perf_counter_ns`; None for no deadline.
        gone: returns whether the client disconnected; None where that cannot be known.
    """

    deadline_ns: int | None = None
    gone: Callable[[], bool] | None = None

    def end(self, now_ns: int) -> ClientGone | DeadlinePassed | None:
        """Return the reason why the response is no longer wanted, or None if it still is."""
        if self.gone is not None and self.gone():
            return ClientGone()
        if self.deadline_ns is not None and self.deadline_ns < now_ns:
            return DeadlinePassed()
        return None


UNLIMITED = Patience()
PATIENCE: ContextVar[Patience] = ContextVar("patience", default=UNLIMITED)


def require_wanted() -> None:
    """Check that the response to the current request is still wanted; long computations call this periodically.

    Raises:
        DeadlinePassed, ClientGone.
    """
    if (end := PATIENCE.get().end(time.perf_counter_ns())) is not None:
        raise end


async def while_wanted(work: Coroutine[Any, Any, T]) -> T:
    """Run a long operation and return its result; cancel it once the current request is no longer wanted.

    Raises:
        DeadlinePassed, ClientGone.
        Exception: any exception that `work` raises.
    """
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait((task,), timeout=LOOK_S))[0]:
            require_wanted()
        return task.result()
    finally:
        if task.cancel():
            await asyncio.wait((task,))
