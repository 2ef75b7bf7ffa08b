"""One request on the fast path, from its head to its response.

`protocol.py` parses the bytes and decides which requests take the fast path; this module must know neither that nor
models. A request here needs no task, no future and no ASGI scope.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Protocol

from app.api.asgi import PREDICT_ROUTE, Edge
from app.api.error_responses import CLIENT_CLOSED, report
from app.errors import ClientGone
from app.holding import Holding
from app.inference.batcher import Entry
from app.security.admission import Pass
from app.telemetry.in_flight import Flight


class Connection(Protocol):
    """The parts of a connection that an exchange uses."""

    edge: Edge
    parser: Any
    transport: asyncio.Transport

    @property
    def peer(self) -> str:
        """Return the client's address."""
        ...

    def write_answer(self, status: int, headers: bytes, body: bytes, request_id: str, *, keep_alive: bool) -> None:
        """Write a complete response."""
        ...

    def linger(self) -> None:
        """Close the connection after the client had time to read the response."""
        ...

    def on_response_complete(self) -> None:
        """Go on with the connection after a response was written."""
        ...


@dataclass(frozen=True, slots=True)
class PlainHead:
    """A plain request head on this connection; an identical one is not checked again."""

    url: bytes
    headers: list[tuple[bytes, bytes]]
    model: str
    known: Pass


class DirectExchange:
    """One request that is answered without ASGI; it replaces uvicorn's cycle and has the attributes uvicorn reads.

    Attributes:
        response_complete: whether the response was written.
        disconnected: set by uvicorn when the client disconnects first.
        keep_alive: cleared by uvicorn when the server is shutting down.
        begun: accounting for a body that did not arrive in one packet with its head, until it is complete.
    """

    begun: BegunBody | None = None

    def __init__(self, connection: Connection, plain: PlainHead, request_id: bytes | None) -> None:
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = connection.parser.should_keep_alive()
        self.model = plain.model
        self.body = b""
        self.entry: Entry[Any, Any] | None = None
        self._connection = connection
        self._caller = plain.known.caller
        self._given_id = request_id
        self._started = time.perf_counter()

    @property
    def message_event(self) -> DirectExchange:
        """Return the event that uvicorn sets when the connection is lost: this exchange.

        A property, because a reference cycle (to itself, or through an entry) would leave the exchange to the garbage
        collector, which takes a millisecond now and then: half of the 99th percentile at half of capacity.
        """
        return self

    def set(self) -> None:
        """Record a lost connection and cancel the prediction; uvicorn calls this as it sets its message event."""
        if not self.response_complete:
            self.response_complete = True
            entry, self.entry = self.entry, None
            begun, self.begun = self.begun, None
            try:
                if begun is not None:
                    begun.end()
                if entry is not None:
                    entry.cancelled = True
                    entry.done(ClientGone())
            finally:
                self._count(CLIENT_CLOSED)

    def wait_for_body(self) -> None:
        """Account for a body that is still incomplete; meanwhile the request does not count as being answered.

        Raises:
            TooManyBytesHeld: if incomplete bodies hold too much memory; the request must end now.
        """
        if self.begun is None:
            self.begun = BegunBody(self._connection.edge)
        self.begun.holds(len(self.body))

    def body_is_whole(self) -> None:
        """Count the request as being answered again, because its body is complete.

        Raises:
            TooManyInFlight: if too many other requests are being answered by now.
        """
        begun, self.begun = self.begun, None
        if begun is not None:
            begun.end()
            begun.flight.require_room()

    def finish(self, result: bytes | Exception) -> None:
        """Write the response; called once, immediately or at the end of the loop's iteration."""
        if self.response_complete:
            return
        connection = self._connection
        if connection.transport.is_closing():  # uvicorn reported the loss to a later request
            self.set()
            return
        self.response_complete = True
        self.entry = None
        request_id, status, body = "", 500, b""
        try:
            request_id = connection.edge.request_ids.choose(self._given_id)
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
        edge = self._connection.edge
        edge.metrics.in_progress -= 1
        took_s = time.perf_counter() - self._started
        edge.predictions.count(status, took_s)
        if edge.request_log is not None:
            edge.request_log.answered(
                request_id=request_id or edge.request_ids.choose(self._given_id),
                method="POST",
                route=PREDICT_ROUTE,
                path=f"/predict/{self.model}",
                status=status,
                took_s=took_s,
                sent_bytes=sent_bytes,
                key_id=self._caller.key_id,
                peer=self._connection.peer,
            )


class BegunBody:
    """An incomplete body: its bytes count as held, but its request does not count as being answered."""

    def __init__(self, edge: Edge) -> None:
        self.flight = Flight(edge.metrics, edge.door.max_in_flight)
        self.flight.pause()
        self._holding = Holding(edge.held)
        self._size = 0

    def holds(self, size_bytes: int) -> None:
        """Reserve memory for a body that has grown to `size_bytes`.

        Raises:
            TooManyBytesHeld.
        """
        more, self._size = size_bytes - self._size, size_bytes
        self._holding.receive(more)

    def end(self) -> None:
        """Count the request again and release its bytes: the body is complete, or the client disconnected."""
        self.flight.resume()
        self._holding.give_back()


class LastExchange(DirectExchange):
    """An exchange after which the connection is closed."""

    def __init__(self, connection: Connection, plain: PlainHead, request_id: bytes | None) -> None:
        super().__init__(connection, plain, request_id)
        self.keep_alive = False


def problem_bytes(error: Exception, request_id: str) -> tuple[int, bytes, bytes]:
    """Report an error; return status, body and header lines of its response."""
    status, body, headers = report(error, request_id)
    return status.value, body, b"".join(b"%b: %b\r\n" % header for header in headers)
