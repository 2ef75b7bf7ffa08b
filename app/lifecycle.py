"""State of the process for the request handlers, and its background tasks.

This module must not know signals, sockets or HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any

logger = logging.getLogger(__name__)

DEVICE_LOST = 70  # exit code after a lost device, EX_SOFTWARE of sysexits.h: restart the process


class Lifetime:
    """Lifecycle state of one app.

    Attributes:
        draining: the stop signal has arrived; the app still serves, so that load balancers can notice.
        device_lost: no model can run in this process any more; the process ends.
        stands_still: the limit of concurrent requests is reached and none is answered; this may pass.
        stopping: set when no more connections are accepted, so that responses that wait for an event end.
    """

    def __init__(self) -> None:
        self.draining = False
        self.device_lost = False
        self.stands_still = False
        self.stopping = asyncio.Event()

    def lose_device(self) -> None:
        """Record that the device is lost; the server then ends the process."""
        self.device_lost = True

    @property
    def unready(self) -> str | None:
        """Reason why no more requests should be sent here, or None."""
        if self.device_lost:
            return "the device is lost: the service ends, to be started again"
        if self.draining:
            return "draining: the service was told to stop"
        if self.stands_still:
            return "standstill: as many requests as may be are being answered, and none gets its answer"
        return None


@contextlib.asynccontextmanager
async def run_in_background(work: Mapping[str, Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run coroutines as tasks until the context ends; the failure of one is logged and does not stop the others.

    They have ended when the context has. A `TaskGroup` would cancel all tasks when one of them fails.

    Args:
        work: coroutines by the names of their tasks.
    """
    tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in work.items()]
    for task in tasks:
        task.add_done_callback(_log_failure)
    yield
    for task in tasks:
        task.cancel()
    if tasks:  # in CPython 3.11, one that is starting a process would wait for ever once all tasks are cancelled
        await asyncio.wait(tasks)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.error("the background task %r failed", task.get_name(), exc_info=error)
