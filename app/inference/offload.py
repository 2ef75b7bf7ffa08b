"""Run long work in one thread beside the event loop, so that other requests go on.

Waiting work is bounded by the size of its bodies, which `app/context.py` counts; abandoned work releases its body at
once. Parsed bodies, which are many times as large, are bounded by the number of turns.

A thread does not make the work quicker, but lets the event loop take the interpreter back every few milliseconds. This
requires work in Python, not one call of a C function; `app/inference/codecs/json_rows.py` is written that way. This
module must not know HTTP or models.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Generic, ParamSpec, TypeVar

from app.context import Deadline, current_deadline
from app.errors import ServingError

SMALL_BYTES = 64 << 10  # about 10 ms at worst; done on the event loop
TURNS = 2  # one body is processed while another may wait for a model to load

P = ParamSpec("P")
T = TypeVar("T")


class OffloadThread:
    """A thread for long work, one piece at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "offload")
        self._turns = asyncio.Semaphore(TURNS)

    def turn(self, size_bytes: int) -> AbstractAsyncContextManager[object]:
        """Return a context manager for several pieces of work that belong together and hold much memory in between."""
        return contextlib.nullcontext() if size_bytes <= SMALL_BYTES else self._turns

    async def run(self, size_bytes: int, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Run work in the thread and return its result; run it directly if size_bytes is small.

        Raises:
            DeadlinePassed, ClientGone: if the client no longer waits when the work's turn comes.
            Exception: any exception of the work.
        """
        if size_bytes <= SMALL_BYTES:
            return work(*arguments, **named)
        piece = _Piece(current_deadline(), functools.partial(work, *arguments, **named))
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, _run_without_collector, piece)
        finally:
            piece.work = None


class _Piece(Generic[T]):
    """Queued work; if its caller stops waiting, it is emptied so that the queue does not hold its data."""

    def __init__(self, deadline: Deadline, work: Callable[[], T]) -> None:
        self.deadline = deadline
        self.work: Callable[[], T] | None = work


def _run_without_collector(piece: _Piece[T]) -> T:
    """Do the work with the garbage collector off, which would traverse a million rows again and again without pause."""
    work = piece.work
    if work is None:
        raise asyncio.CancelledError
    if (ended := piece.deadline.error_at(time.perf_counter_ns())) is not None:
        raise ended
    gc.disable()
    try:
        return work()
    except ServingError as error:
        # Its traceback and its cause hold all parsed data, which must be freed here, not on the event loop.
        error.__cause__ = error.__context__ = None
        raise error.with_traceback(None) from None
    finally:
        gc.enable()
