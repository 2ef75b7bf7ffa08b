"""One request on the fast path, from its head to its response.

A request here needs no task, no future and no ASGI scope. `protocol.py` parses the bytes and chooses the requests; this
module must know neither that nor models.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Protocol

from app.api.asgi import RequestIds
from app.api.error_responses import CLIENT_CLOSED, log_and_render
from app.context import MemoryBudget, MemoryReservation
from app.errors import ClientGone, TooManyBytesHeld
from app.inference.batcher import Entry
from app.security.admission import KnownCaller
from app.security.permissions import Routes
from app.telemetry.in_flight import Flight
from app.telemetry.logs.requests import RequestLog
from app.telemetry.metrics import RequestFigures, ServingMetrics


class DirectConnection(Protocol):
    """The parts of a connection that an exchange uses."""

    transport: asyncio.Transport

    @property
    def peer(self) -> str:
        """Return the client's address."""

    def write_answer(self, status: int, headers: bytes, body: bytes, request_id: str, *, keep_alive: bool) -> None:
        """Write a complete response."""

    def linger(self) -> None:
        """Close the connection after the client had time to read the response."""

    def on_response_complete(self) -> None:
        """Read the next request of the connection after a response was written."""


@dataclass(slots=True)
class Accounting:
    """Metrics, limits and log for the requests of the fast path; see the attributes of `Edge`.

    Attributes:
        max_in_flight: most requests in progress at a time.
    """

    metrics: ServingMetrics
    predictions: RequestFigures
    request_ids: RequestIds
    request_log: RequestLog | None
    memory: MemoryBudget
    max_in_flight: int


@dataclass(frozen=True, slots=True)
class PlainHead:
    """A plain request head on this connection; an identical one is not checked again."""

    url: bytes
    headers: list[tuple[bytes, bytes]]
    model: str
    known: KnownCaller


class DirectExchange:
    """One request that is answered without ASGI.

    It takes the place of uvicorn's cycle, of which uvicorn reads or sets `response_complete`, `disconnected`,
    `keep_alive` and `message_event`.

    Attributes:
        response_complete: whether the response was written, or the client disconnected.
        disconnected: set when the client disconnects first.
        keep_alive: whether the connection stays open after the response; cleared when the server is shutting down.
        incomplete: accounting for a body that did not arrive in one packet with its head, until it is complete.
    """

    incomplete: IncompleteBody | None = None

    def __init__(
        self,
        connection: DirectConnection,
        accounting: Accounting,
        head: PlainHead,
        request_id: bytes | None,
        *,
        keep_alive: bool,
    ) -> None:
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = keep_alive
        self.model = head.model
        self.body = b""
        self.entry: Entry[Any, Any] | None = None
        self._connection = connection
        self._accounting = accounting
        self._caller = head.known.caller
        self._given_id = request_id
        self._started = time.perf_counter()

    @property
    def message_event(self) -> ConnectionLost:
        """Return an event that cancels the exchange when uvicorn sets it.

        It is created when it is needed: an exchange that referred to it would be in a reference cycle, and so left to
        the garbage collector, which takes a millisecond now and then: half of the 99th percentile at half of capacity.
        """
        return ConnectionLost(self)

    def cancel(self) -> None:
        """Record that the connection is lost, and cancel the prediction."""
        if not self.response_complete:
            self.response_complete = True
            entry, self.entry = self.entry, None
            incomplete, self.incomplete = self.incomplete, None
            try:
                if incomplete is not None:
                    incomplete.end()
                if entry is not None:
                    entry.cancelled = True
                    entry.done(ClientGone())
            finally:
                self._count(CLIENT_CLOSED)

    def wait_for_body(self) -> None:
        """Account for a body that is still incomplete; meanwhile the request does not count as being answered.

        If incomplete bodies hold too much memory, the request is refused now, and its connection is closed.
        """
        if self.incomplete is None:
            self.incomplete = IncompleteBody(self._accounting)
        try:
            self.incomplete.grow(len(self.body))
        except TooManyBytesHeld as error:
            self.incomplete.end()
            self.incomplete, self.keep_alive = None, False
            self.finish(error)

    def complete_body(self) -> None:
        """Count the request as being answered again, because its body is complete.

        Raises:
            TooManyInFlight: if too many other requests are being answered by now.
        """
        incomplete, self.incomplete = self.incomplete, None
        if incomplete is not None:
            incomplete.end()
            incomplete.flight.require_room()

    def finish(self, result: bytes | Exception) -> None:
        """Write the response; called once, immediately or at the end of the loop's iteration."""
        if self.response_complete:
            return
        connection = self._connection
        if connection.transport.is_closing():  # uvicorn reported the loss to a later request
            self.cancel()
            return
        self.response_complete = True
        self.entry = None
        request_id, status, body = "", 500, b""
        try:
            request_id = self._accounting.request_ids.choose(self._given_id)
            if isinstance(result, bytes):
                status, body, headers = 200, result, b"content-type: application/json\r\n"
            else:
                status, body, headers = problem_bytes(result, request_id)
            connection.write_answer(status, headers, body, request_id, keep_alive=self.keep_alive)
        except BaseException:
            connection.transport.abort()  # it is unknown how much of the response was written
            raise
        finally:
            self._count(status, len(body), request_id)
        if not self.keep_alive:
            connection.linger()
        connection.on_response_complete()

    def _count(self, status: int, sent_bytes: int = 0, request_id: str = "") -> None:
        accounting = self._accounting
        accounting.metrics.in_progress -= 1
        took_s = time.perf_counter() - self._started
        accounting.predictions.count(status, took_s)
        if accounting.request_log is not None:
            accounting.request_log.log_response(
                request_id=request_id or accounting.request_ids.choose(self._given_id),
                method=Routes.PREDICT.method,
                route=Routes.PREDICT.label,
                path=Routes.PREDICT.path(model=self.model),
                status=status,
                took_s=took_s,
                sent_bytes=sent_bytes,
                key_id=self._caller.key_id,
                peer=self._connection.peer,
            )


class ConnectionLost:
    """The event that uvicorn sets when the connection of an exchange is lost."""

    def __init__(self, exchange: DirectExchange) -> None:
        self._exchange = exchange

    def set(self) -> None:
        """Cancel the exchange."""
        self._exchange.cancel()


class IncompleteBody:
    """A body that is still arriving: its bytes are reserved, but its request does not count as being answered."""

    def __init__(self, accounting: Accounting) -> None:
        self.flight = Flight(accounting.metrics, accounting.max_in_flight)
        self.flight.pause()
        self._memory = MemoryReservation(accounting.memory)
        self._size = 0

    def grow(self, size_bytes: int) -> None:
        """Reserve memory for a body that has grown to `size_bytes`.

        Raises:
            TooManyBytesHeld.
        """
        more, self._size = size_bytes - self._size, size_bytes
        self._memory.reserve_incomplete(more)

    def end(self) -> None:
        """Count the request again and release its bytes: the body is complete, or the client disconnected."""
        self.flight.resume()
        self._memory.release()


def problem_bytes(error: Exception, request_id: str) -> tuple[int, bytes, bytes]:
    """Render an error, and log an internal one; return status, body and header lines of its response."""
    status, body, headers = log_and_render(error, request_id)
    return status.value, body, b"".join(b"%b: %b\r\n" % header for header in headers)
