"""uvicorn's HTTP protocol with bounds on what strangers may send, and how slowly; it must not know what is served.

uvicorn has no deadline for a request that never ends, httptools no bound for a header that never ends. Deadlines are
looked after apart (`app/pace.py`), so requests that come whole pay nothing for them.
"""

from __future__ import annotations

import asyncio
import select
from abc import abstractmethod
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.access.heads import require_unambiguous
from app.access.limits import ReceiveLimits
from app.access.refusals import HeadTooLarge, MalformedRequest, ReceiveTimeout
from app.errors import MalformedBody, ServingError
from app.pace import BODY, BODY_BEGUN, FIRST, HEAD, HEAD_BEGUN, IDLE, LOOK_S, Pace, late_s

FREE_CHUNKS = 1024
LEAST_CHUNK_BYTES = 4  # on average, of more than these: no row is shorter
FIRST_WORDS_S = 0.5  # of a new connection, when the server stops: so long its first request may be under way
LINGER_S = 2.0  # after an answer to a body that is not read, so that the client gets to read the answer


class BoundedProtocol(HttpToolsProtocol):
    """See the module. The class that derives from it says how a refusal is written.

    Attributes:
        bounds: set by the deriving class before a connection is made.
        phase, since_s, received, excused_s, answered: see `app.pace.Connection`.
    """

    bounds: ReceiveLimits

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.phase = FIRST
        self.since_s = self.loop.time()
        self.received = 0
        self.excused_s = 0.0
        self.answered = 0
        self._suspect = False
        self._refusal: ServingError | None = None
        self._pace = Pace()
        self._lingers = False
        self._last = False
        self._chunks = self._chunked_bytes = 0

    @abstractmethod
    def refuse(self, error: ServingError) -> None:
        """Write an answer that refuses what came; the connection is closed after it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Begin to look at the connection."""
        super().connection_made(transport)
        self._pace.begin(self)
        if len(self.connections) > self.bounds.max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop looking at it."""
        self._pace.end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a packet."""
        if len(data) > self.bounds.max_head_bytes:
            self._suspect = True
        super().data_received(data)
        if self.phase:
            self._still_receiving(len(data))

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.phase = HEAD_BEGUN
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Let uvicorn answer the request."""
        super().on_headers_complete()
        self.phase = BODY_BEGUN
        self._chunks = self._chunked_bytes = 0
        cycle = self.cycle
        if cycle is not None:
            cycle.keep_alive &= not self._last
            self.scope["tabserve.gone"] = lambda: cycle.disconnected  # type: ignore[typeddict-unknown-key]
            cycle.transport = _Lingering(self)  # type: ignore[assignment] # it has all that a cycle uses

    def on_chunk_header(self) -> None:
        """Count a chunk; however many come in a packet, the parser goes through them without a pause.

        Raises:
            MalformedBody: if they are absurdly small.
        """
        self._chunks += 1
        if self._chunks > FREE_CHUNKS and self._chunked_bytes < LEAST_CHUNK_BYTES * (self._chunks - 1):
            self._raise(MalformedBody(f"the chunks of the body are too small; send {LEAST_CHUNK_BYTES} bytes in each"))

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on."""
        self._chunked_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Be told that the request is all here."""
        self.phase = IDLE
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Be told that an answer is written; what is left of a body that nobody wants stays unread.

        uvicorn would set a timer that the next request cancels; instead `app.pace` sees whether there is a next one.
        """
        self.answered += 1
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()  # which sets none here
        else:
            self.server_state.total_requests += 1
            self.flow.resume_reading()
        if self._lingers:
            self.flow.pause_reading()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or was refused while it was parsed; requests before it get their answers first."""
        error = self._refusal or MalformedBody(f"{msg} Send HTTP/1.1 as RFC 9112 has it")
        pending: Any = self.cycle
        if pending is None or pending.response_complete:
            self.refuse(error)
        elif self.phase not in (BODY_BEGUN, BODY):  # it belongs to a request behind the one that is being answered
            pending.keep_alive = False
        elif getattr(pending, "response_started", False):
            self.transport.abort()  # what is sent of the answer must not look whole
        else:
            pending.disconnected = True
            pending.message_event.set()
            self.refuse(error)
            if self._lingers:
                self.flow.pause_reading()

    def check_head(self) -> None:
        """Check the head that is complete now; to be called unless it equals one that was checked.

        Raises:
            ServingError: for httptools to pass on, whereupon uvicorn asks for the answer.
        """
        if not self.head_is_small():
            self._raise(HeadTooLarge(self.bounds.max_head_bytes, self.bounds.max_headers))
        self._suspect = False
        try:
            require_unambiguous(self.parser.get_http_version(), self.headers)
        except MalformedRequest as error:
            self._raise(error)

    def head_is_small(self) -> bool:
        """Tell whether the head that is complete now is within its bounds."""
        if len(self.headers) > self.bounds.max_headers:
            return False
        if self.phase != HEAD and not self._suspect:
            return True  # it came in one packet, which is no larger
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        return size <= self.bounds.max_head_bytes

    def _raise(self, error: ServingError) -> None:
        self._refusal = error
        raise error

    def _still_receiving(self, count: int) -> None:
        """Be told of a packet after which more must come."""
        if self.phase in (HEAD_BEGUN, BODY_BEGUN):
            self.phase += 1
            self.since_s, self.received, self.excused_s = self.loop.time(), 0, 0.0
            return
        self.received += count
        if self.phase == HEAD and self.received > self.bounds.max_head_bytes and not self.transport.is_closing():
            self.refuse(HeadTooLarge(self.bounds.max_head_bytes, self.bounds.max_headers))

    def give_up(self) -> None:
        """Close the connection of a client that is too slow, with an answer if it waits for one."""
        if self.phase == FIRST or (self.phase == BODY and self.cycle.response_complete):
            self.transport.close()
        else:
            self._refusal = ReceiveTimeout()
            self.send_400_response("")

    def resume_writing(self) -> None:
        """Be told that the client has read most of what waited."""
        self._pace.was_read()
        super().resume_writing()

    def close_if_silent(self) -> None:
        """Close, unless something came that nobody has read yet: closing now would reset the connection."""
        if not self._has_unread():
            self.transport.close()

    def _make_room(self) -> None:
        """Close some connections that do nothing, first those that never did; or of slow bodies; or else this one."""
        others: list[Any] = [other for other in self.connections if other is not self]
        idle = [other for other in others if other.does_nothing()]
        idle.sort(key=lambda other: (other.phase == IDLE, other.since_s))
        if not idle:
            idle = [other for other in others if other.phase == BODY and late_s(other) > LOOK_S]
            idle.sort(key=late_s, reverse=True)
        for other in idle[: len(idle) // 16 + 1] or [self]:
            other.transport.abort()

    def does_nothing(self) -> bool:
        """Tell whether no request is being answered or has come as far as its body."""
        return self.phase in (FIRST, HEAD_BEGUN, HEAD) or (
            self.phase == IDLE and (self.cycle is None or self.cycle.response_complete)
        )

    def drain(self) -> None:
        """Let the answer to the present request, or else to the next, be the last on this connection."""
        self._last = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close as soon as nothing is being asked: what was sent before the server stopped listening is answered."""
        self.drain()
        if self.transport.is_closing() or self.phase not in (FIRST, IDLE):
            return
        if self.cycle is not None and not self.cycle.response_complete:
            return
        wait_s = FIRST_WORDS_S - (self.loop.time() - self.since_s) if self.phase == FIRST else 0.0
        if wait_s > 0 or self._has_unread():
            self.loop.call_later(max(wait_s, 0.01), self.shutdown)
        else:
            self.transport.close()

    def _has_unread(self) -> bool:
        """Tell whether something came that the event loop has not passed on yet."""
        unread = select.poll()
        unread.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(unread.poll(0))

    def linger(self) -> None:
        """Close, but if the client still sends a body that nobody reads, let it read the answer first."""
        if self.phase not in (BODY_BEGUN, BODY) or self._lingers:
            self.transport.close()
            return
        self._lingers = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)


class _Lingering:
    """The transport as an answer's cycle sees it: closing it gives the client time to read."""

    def __init__(self, protocol: BoundedProtocol) -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        self._protocol.linger()
