"""How long the answer to the present request is wanted: until its deadline, or its client went away; it knows no HTTP.

It travels in the context of the request's task, so that what waits in a queue can be dropped before it is computed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from app.errors import ClientGone, DeadlinePassed

LOOK_S = 0.25  # how often to see whether a long work is still wanted

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """One request's.

    Attributes:
        deadline_ns: on the clock of `time.perf_counter_ns`; None: whenever.
        gone: tells whether the client went away; None where that cannot be known.
    """

    deadline_ns: int | None = None
    gone: Callable[[], bool] | None = None

    def end(self, now_ns: int) -> Exception | None:
        """Return why the answer is not wanted any more, or None if it is."""
        if self.gone is not None and self.gone():
            return ClientGone()
        if self.deadline_ns is not None and self.deadline_ns < now_ns:
            return DeadlinePassed()
        return None


UNLIMITED = Patience()
PATIENCE: ContextVar[Patience] = ContextVar("patience", default=UNLIMITED)


def require_wanted() -> None:
    """Check that the present request is still wanted; for long computations, now and then.

    Raises:
        DeadlinePassed, ClientGone.
    """
    if (end := PATIENCE.get().end(time.perf_counter_ns())) is not None:
        raise end


async def while_wanted(work: Coroutine[Any, Any, T]) -> T:
    """Return what a long work returns; it is ended as soon as the present request is not wanted any more.

    Raises:
        DeadlinePassed, ClientGone.
        Exception: what the work raises.
    """
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait((task,), timeout=LOOK_S))[0]:
            require_wanted()
        return task.result()
    finally:
        if task.cancel():
            await asyncio.wait((task,))
