"""Long work beside the event loop, one piece at a time, so that other requests get their turn; no HTTP, no models.

What waits for it is bounded by the bodies that it is about, which `app/holding.py` counts: work that is given up lets
go of its body at once. What was made of a body, many times as large, is bounded by the turns.

A thread does not make it quicker: it lets the loop take the interpreter back every few milliseconds. That needs work
that is Python, not one call of a C function; `app/inference/codecs/precise_json.py` is made so.
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

from app.errors import ServingError
from app.patience import PATIENCE, Patience

SMALL_BYTES = 64 << 10  # some 10 ms at worst; done at once
TURNS = 2  # one is worked on while another may wait for a model to be loaded

P = ParamSpec("P")
T = TypeVar("T")


class Aside:
    """One thread for all that takes long."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "aside")
        self._turns = asyncio.Semaphore(TURNS)

    def turn(self, size_bytes: int) -> AbstractAsyncContextManager[object]:
        """Return what to do several pieces of work in that belong together, and hold much in between."""
        return contextlib.nullcontext() if size_bytes <= SMALL_BYTES else self._turns

    async def run(self, size_bytes: int, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Return what the work returns, done here and now if it is about few bytes.

        Raises:
            DeadlinePassed, ClientGone: if nobody waits for it any more when its turn comes.
            Exception: what the work raises.
        """
        if size_bytes <= SMALL_BYTES:
            return work(*arguments, **named)
        piece = _Piece(PATIENCE.get(), functools.partial(work, *arguments, **named))
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, _undisturbed, piece)
        finally:
            piece.work = None


class _Piece(Generic[T]):
    """Work that waits for its turn; the queue holds it until then, but not what it is about once nobody waits."""

    def __init__(self, patience: Patience, work: Callable[[], T]) -> None:
        self.patience = patience
        self.work: Callable[[], T] | None = work


def _undisturbed(piece: _Piece[T]) -> T:
    """Do the work without the garbage collector, which would look at a million rows again and again in one go."""
    work = piece.work
    if work is None:
        raise asyncio.CancelledError
    if (end := piece.patience.end(time.perf_counter_ns())) is not None:
        raise end
    gc.disable()
    try:
        return work()
    except ServingError as error:
        # Its traceback and its cause hold all that was read; they are to be freed here, not by the event loop.
        error.__cause__ = error.__context__ = None
        raise error.with_traceback(None) from None
    finally:
        gc.enable()
