"""The state of one request, for everything that handles it.

It travels in the context of the request's task. This module must not know HTTP, models or metrics.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from app.errors import ClientGone, DeadlinePassed, TooManyBytesHeld

FREE_BYTES = 64 << 10  # of each request; they count against no budget
LOOK_S = 0.25  # interval at which a long operation checks that its result is still wanted
UNMATCHED = "unmatched"  # the route of a request that no route answers

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Deadline:
    """End of the time in which the response to a request is wanted.

    Attributes:
        at_ns: on the clock of `time.perf_counter_ns`; None for no deadline.
        gone: returns whether the client disconnected; None where that cannot be known.
    """

    at_ns: int | None = None
    gone: Callable[[], bool] | None = None

    def no_later_than(self, at_ns: int | None) -> Deadline:
        """Return this deadline, or an earlier one if `at_ns` comes first."""
        if at_ns is None or (self.at_ns is not None and self.at_ns <= at_ns):
            return self
        return Deadline(at_ns, self.gone)

    def error_at(self, now_ns: int) -> ClientGone | DeadlinePassed | None:
        """Return the reason why the response is no longer wanted, or None if it still is."""
        if self.gone is not None and self.gone():
            return ClientGone()
        if self.at_ns is not None and self.at_ns < now_ns:
            return DeadlinePassed()
        return None


UNLIMITED = Deadline()


class MemoryBudget:
    """Memory that the bodies and answers of all requests of a process may occupy.

    The number of concurrent requests is limited elsewhere, so the first bytes of each are free: small requests are
    served while large ones are refused. Incomplete bodies can be far more numerous, so their first bytes are counted as
    well, in a separate sum.

    Attributes:
        limit_bytes: size of the budget; a single request may exceed it alone, its own limits apply then.
        reserved_bytes: bytes reserved now.
        incomplete_bytes: first bytes of incomplete bodies, counted separately; up to `limit_bytes` as well.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.reserved_bytes = 0
        self.incomplete_bytes = 0


class MemoryReservation:
    """The part of a memory budget that one request occupies."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._size = 0
        self._counted = 0
        self._incomplete = 0

    def reserve(self, size_bytes: int) -> None:
        """Reserve `size_bytes` more of the memory budget, or release some, if it is negative.

        Raises:
            TooManyBytesHeld: if other requests leave no room for them; the request must end now.
        """
        self._size += size_bytes
        more = max(0, self._size - FREE_BYTES) - self._counted
        budget = self._budget
        if more > 0 and budget.reserved_bytes + more > budget.limit_bytes and budget.reserved_bytes > self._counted:
            raise TooManyBytesHeld(budget.limit_bytes)
        budget.reserved_bytes += more
        self._counted += more

    def reserve_incomplete(self, size_bytes: int) -> None:
        """Reserve `size_bytes` more for a body that is still incomplete.

        Raises:
            TooManyBytesHeld: if the budget has no room for them; the request must end now.
        """
        budget, more = self._budget, min(size_bytes, FREE_BYTES - self._incomplete)
        if budget.incomplete_bytes + more > budget.limit_bytes and budget.incomplete_bytes > self._incomplete:
            raise TooManyBytesHeld(budget.limit_bytes)
        budget.incomplete_bytes += more
        self._incomplete += more
        self.reserve(size_bytes)

    def complete(self) -> None:
        """Mark the body as complete: its first bytes no longer count."""
        self._budget.incomplete_bytes -= self._incomplete
        self._incomplete = 0

    def release(self) -> None:
        """Release the whole reservation at the end of the request."""
        self.complete()
        self._budget.reserved_bytes -= self._counted
        self._size = self._counted = 0


class InProgress(Protocol):
    """How a request counts among those in progress; see `app/telemetry/in_flight.py`."""

    def waiting(self) -> AbstractContextManager[None]:
        """Count the request as waiting inside the returned context."""


@dataclass(slots=True)
class RequestContext:
    """State of one request.

    Attributes:
        id: id that the response carries; a training job has that of the request that created it, if any.
        key_id: id of the accepted key; None for a caller without one.
        deadline: when the response is no longer wanted.
        memory: memory that the request occupies.
        flight: how the request counts among those in progress.
        stages: each `app.telemetry.stage_timer.Stages` that has ended, for a trace; None without one.
        route: label of the route that answers.
    """

    id: str = ""
    key_id: str | None = None
    deadline: Deadline = UNLIMITED
    memory: MemoryReservation | None = None
    flight: InProgress | None = None
    stages: list[Any] | None = None
    route: str = UNMATCHED


CONTEXT: ContextVar[RequestContext | None] = ContextVar("request", default=None)


def current_request_id() -> str | None:
    """Return the id of the current request, or None outside of one."""
    context = CONTEXT.get()
    return None if context is None else context.id or None


def current_deadline() -> Deadline:
    """Return the deadline of the current request."""
    context = CONTEXT.get()
    return UNLIMITED if context is None else context.deadline


def reserve(size_bytes: int) -> None:
    """Reserve memory for the current request until it ends, or release some of it, if `size_bytes` is negative.

    Raises:
        TooManyBytesHeld: if the budget has no room for it.
    """
    context = CONTEXT.get()
    if context is not None and context.memory is not None:
        context.memory.reserve(size_bytes)


def waiting() -> AbstractContextManager[None]:
    """Return a context manager that counts the current request as waiting, not as in progress."""
    context = CONTEXT.get()
    return nullcontext() if context is None or context.flight is None else context.flight.waiting()


def require_wanted() -> None:
    """Check that the response to the current request is still wanted; long computations call this periodically.

    Raises:
        DeadlinePassed, ClientGone.
    """
    if (error := current_deadline().error_at(time.perf_counter_ns())) is not None:
        raise error


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
