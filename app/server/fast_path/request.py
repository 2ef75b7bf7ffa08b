"""One request on the short way, from its head to its answer; it must not know how bytes become requests, nor models.

Which requests are plain enough for the short way is decided in `protocol.py`. It needs no task, no future, no scope.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from app.api.asgi import PREDICT_ROUTE, Edge
from app.api.errors import CLIENT_CLOSED, problem_answer
from app.errors import ClientGone
from app.holding import Holding
from app.inference.batcher import Entry
from app.security.admission import Pass
from app.telemetry.in_flight import Flight

logger = logging.getLogger(__name__)


class Connection(Protocol):
    """What an exchange needs of the connection that it came on."""

    edge: Edge
    parser: Any
    transport: asyncio.Transport

    @property
    def peer(self) -> str:
        """Return the address of the other end."""
        ...

    def write_answer(self, status: int, headers: bytes, body: bytes, request_id: str, *, keep_alive: bool) -> None:
        """Write a whole answer."""
        ...

    def linger(self) -> None:
        """Close, when the client had time to read the answer."""
        ...

    def on_response_complete(self) -> None:
        """Be told that an answer is written."""
        ...


@dataclass(frozen=True, slots=True)
class PlainHead:
    """What came before on this connection, and was plain; what comes again need not be looked at."""

    url: bytes
    headers: list[tuple[bytes, bytes]]
    model: str
    known: Pass


class DirectExchange:
    """One request that is answered directly; it stands in for uvicorn's cycle, whose attributes uvicorn looks at.

    Attributes:
        response_complete: whether the answer was written.
        disconnected: set by uvicorn when the client goes away first.
        keep_alive: cleared by uvicorn when the server is shutting down.
        begun: what is held of a body that did not come in one packet with its head, until it is whole.
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
        """Return what uvicorn tells of a lost connection: this exchange.

        A property, since an exchange that held itself, or an entry that holds it, would be left to the collector, and
        that takes a millisecond now and then: half of the 99th percentile at half of capacity.
        """
        return self

    def set(self) -> None:
        """Be told by uvicorn, as its message event is, that the connection is lost: nobody waits for the answer now."""
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
        """Be told that more of the body must come in another packet; meanwhile the request is not being answered.

        Raises:
            TooManyBytesHeld: if bodies that are not whole hold too much; the request must end now.
        """
        if self.begun is None:
            self.begun = BegunBody(self._connection.edge)
        self.begun.holds(len(self.body))

    def body_is_whole(self) -> None:
        """Be told that the rest of the body came.

        Raises:
            TooManyInFlight: if too many other requests are being answered by now.
        """
        begun, self.begun = self.begun, None
        if begun is not None:
            begun.end()
            begun.flight.require_room()

    def finish(self, result: bytes | Exception) -> None:
        """Write the answer; called once, now or at the end of the loop's turn."""
        if self.response_complete:
            return
        connection = self._connection
        if connection.transport.is_closing():  # the loss was told to a request behind this one
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
            connection.transport.abort()  # nobody knows how much of the answer was written
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
    """A body of which more must come: its request does not count as being answered, but its bytes as held."""

    def __init__(self, edge: Edge) -> None:
        self.flight = Flight(edge.metrics, edge.door.max_in_flight)
        self.flight.pause()
        self._holding = Holding(edge.held)
        self._size = 0

    def holds(self, size_bytes: int) -> None:
        """Note how many bytes there are by now.

        Raises:
            TooManyBytesHeld.
        """
        more, self._size = size_bytes - self._size, size_bytes
        self._holding.receive(more)

    def end(self) -> None:
        """Let the request count again: its body is whole, or nobody waits for the answer."""
        self.flight.resume()
        self._holding.give_back()


class LastExchange(DirectExchange):
    """One whose connection is closed after it."""

    def __init__(self, connection: Connection, plain: PlainHead, request_id: bytes | None) -> None:
        super().__init__(connection, plain, request_id)
        self.keep_alive = False


def problem_bytes(error: Exception, request_id: str) -> tuple[int, bytes, bytes]:
    """Return status, body and header lines that tell a client what went wrong; the log gets what it is not told."""
    status, body, headers = problem_answer(error, request_id)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("a request failed", exc_info=error, extra={"request_id": request_id})
    return status.value, body, b"".join(b"%b: %b\r\n" % header for header in headers)
