"""Send the events of a training as server-sent events.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html

This module must not know where the events come from or what they mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import orjson
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.types import Receive, Scope, Send

from app.context import waiting
from app.errors import StoreUnavailable, TooManyStreams

logger = logging.getLogger(__name__)

MAX_STREAMS = 64
HEARTBEAT_S = 15.0
RECONNECT_MS = 1000

Events = AsyncIterator[tuple[int, str]]


class EventStreams:
    """The event streams of one process: at most `MAX_STREAMS`, closed when the service stops."""

    def __init__(self, stopping: asyncio.Event, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._stopping = stopping
        self._heartbeat_s = heartbeat_s
        self._open = 0

    def respond(self, first: tuple[int, str] | None, events: Events) -> EventStream:
        """Return a response that sends the first event, if it is already known, and then the others.

        Raises:
            TooManyStreams.
        """
        if self._open >= MAX_STREAMS:
            raise TooManyStreams("event streams are open", MAX_STREAMS)
        return EventStream(self, self._write(first, events))

    async def _write(self, first: tuple[int, str] | None, events: Events) -> AsyncGenerator[bytes]:
        yield format_sse_event(retry=RECONNECT_MS)
        if first is not None:
            yield _event(*first)
        stopping = asyncio.create_task(self._stopping.wait())
        coming = asyncio.create_task(_next(events))
        try:
            while True:
                await asyncio.wait((coming, stopping), timeout=self._heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done() and not stopping.done():
                    yield KEEPALIVE_COMMENT
                    continue
                found = coming.result() if coming.done() else None
                if found is None:
                    return
                yield _event(*found)
                coming = asyncio.create_task(_next(events))
        except StoreUnavailable as error:
            logger.warning("an event stream was broken off: %s", error)  # the client reconnects and resumes
        finally:
            for task in (stopping, coming):
                task.cancel()
            await asyncio.gather(stopping, coming, return_exceptions=True)
            await close(events)

    def enter(self) -> None:
        """Count a stream that starts."""
        self._open += 1

    def leave(self) -> None:
        """Count a stream that has ended."""
        self._open -= 1


class EventStream(StreamingResponse):
    """SSE response that occupies one of the `MAX_STREAMS` slots and does not count as a request being answered.

    FastAPI's EventSourceResponse requires the route to be a generator, which could not answer 404 for an unknown
    training.
    """

    media_type = "text/event-stream"

    def __init__(self, streams: EventStreams, written: AsyncGenerator[bytes]) -> None:
        super().__init__(written, headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        self._streams = streams
        self._written = written

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        self._streams.enter()
        try:
            with waiting():
                await super().__call__(scope, receive, send)
        finally:
            self._streams.leave()
            await self._written.aclose()


async def close(events: Events) -> None:
    """Close an iterator of events that is no longer needed."""
    if isinstance(events, AsyncGenerator):
        with contextlib.suppress(Exception):  # an error at this point does not matter
            await events.aclose()


async def _next(events: Events) -> tuple[int, str] | None:
    return await anext(events, None)


def _event(number: int, line: str) -> bytes:
    kind: Any = orjson.loads(line).get("event")
    return format_sse_event(data_str=line, event=str(kind), id=str(number))
