"""uvicorn's HTTP protocol with bounds on what strangers may send, and how slowly; it must not know what is served.

uvicorn has no deadline for a request that never ends, httptools no bound for a header that never ends. Each connection
looks at itself once a second, so requests that come whole pay nothing for their deadlines.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.access.limits import ReceiveLimits
from app.access.refusals import HeadTooLarge, MalformedRequest, ReceiveTimeout
from app.errors import MalformedBody, ServingError

LOOK_S = 1.0
LINGER_S = 2.0  # after an answer to a body that is not read, so that the client gets to read the answer
FEW_BYTES = 64 << 10  # of a body that nobody wants: so much is read, for the sake of the connection

# Where the parser is. The odd ones were entered in the packet that is being read, and their time does not run yet.
IDLE, HEAD_BEGUN, HEAD, BODY_BEGUN, BODY, FIRST = range(6)


class BoundedProtocol(HttpToolsProtocol):
    """See the module. The class that derives from it says how a refusal is written.

    Attributes:
        bounds: set by the deriving class before a connection is made.
        phase: where the parser is.
    """

    bounds: ReceiveLimits

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.phase = FIRST
        self._since = self.loop.time()
        self._received = 0
        self._excused_s = 0.0
        self._suspect = False
        self._refusal: ServingError | None = None
        self._look_task: asyncio.TimerHandle | None = None
        self._lingers = False
        self._stuck: tuple[float, int] | None = None

    @abstractmethod
    def refuse(self, error: ServingError) -> None:
        """Write an answer that refuses what came; the connection is closed after it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Begin to look at the connection."""
        super().connection_made(transport)
        self._look_task = self.loop.call_later(LOOK_S, self._look)
        if len(self.connections) > self.bounds.max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop looking at it."""
        if self._look_task is not None:
            self._look_task.cancel()
            self._look_task = None
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

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; one behind the body is left out, since the request was judged by those before it."""
        if self.phase < BODY_BEGUN:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let uvicorn answer the request."""
        super().on_headers_complete()
        self.phase = BODY_BEGUN
        cycle = self.cycle
        if cycle is not None:
            self.scope["tabserve.gone"] = lambda: cycle.disconnected  # type: ignore[typeddict-unknown-key]
            cycle.transport = _Lingering(self)  # type: ignore[assignment] # it has all that a cycle uses

    def on_message_complete(self) -> None:
        """Be told that the request is all here."""
        self.phase = IDLE
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Be told that an answer is written; what is left of a body that nobody wants stays unread."""
        super().on_response_complete()
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
            self.refuse(error)

    def check_head(self) -> None:
        """Check the head that is complete now; to be called unless it equals one that was checked.

        Raises:
            ServingError: for httptools to pass on, whereupon uvicorn asks for the answer.
        """
        if not self.head_is_small():
            self._refuse_head(HeadTooLarge(self.bounds.max_head_bytes, self.bounds.max_headers))
        self._suspect = False
        version = self.parser.get_http_version()
        hosts = sum(name == b"host" for name, _ in self.headers)
        if version not in ("1.1", "1.0") or (hosts != 1 and (hosts or version == "1.1")):
            self._refuse_head(MalformedRequest("send HTTP/1.1 with one Host header"))

    def head_is_small(self) -> bool:
        """Tell whether the head that is complete now is within its bounds."""
        if len(self.headers) > self.bounds.max_headers:
            return False
        if self.phase != HEAD and not self._suspect:
            return True  # it came in one packet, which is no larger
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        return size <= self.bounds.max_head_bytes

    def _refuse_head(self, error: ServingError) -> None:
        self._refusal = error
        raise error

    def _still_receiving(self, count: int) -> None:
        """Be told of a packet after which more must come."""
        if self.phase in (HEAD_BEGUN, BODY_BEGUN):
            self.phase += 1
            self._since, self._received, self._excused_s = self.loop.time(), 0, 0.0
            return
        self._received += count
        if self.phase == HEAD and self._received > self.bounds.max_head_bytes and not self.transport.is_closing():
            self.refuse(HeadTooLarge(self.bounds.max_head_bytes, self.bounds.max_headers))

    def _look(self) -> None:
        """See whether the client keeps up, now and again in a second."""
        self._look_task = self.loop.call_later(LOOK_S, self._look)
        if self._is_stuck():
            self.transport.abort()
        elif self.phase == IDLE or self.transport.is_closing():
            return
        elif self.phase == BODY and self.flow.read_paused:
            self._excused_s += LOOK_S
        elif self.loop.time() - self._since - self._excused_s > self._allowed_s():
            self._give_up()

    def _allowed_s(self) -> float:
        earned_s = self._received / self.bounds.min_rate if self.phase == BODY else 0.0
        return self.bounds.timeout_s + earned_s

    def _give_up(self) -> None:
        """Close the connection of a client that is too slow, with an answer if it waits for one."""
        if self.phase == FIRST or (self.phase == BODY and self.cycle.response_complete):
            self.transport.close()
        else:
            self._refusal = ReceiveTimeout()
            self.send_400_response("")

    def _is_stuck(self) -> bool:
        """Tell whether the client does not read what waits for it, at least `FEW_BYTES` in the time that it has."""
        waiting = self.transport.get_write_buffer_size()
        more_comes = self.cycle is not None and not self.cycle.response_complete and not self.flow.write_paused
        if not waiting or (more_comes and not self.transport.is_closing()):
            self._stuck = None
            return False
        now = self.loop.time()
        if self._stuck is None or waiting <= self._stuck[1] - FEW_BYTES:
            self._stuck = (now, waiting)
        return now - self._stuck[0] > self.bounds.send_timeout_s

    def resume_writing(self) -> None:
        """Be told that the client has read most of what waited."""
        self._stuck = None
        super().resume_writing()

    def _make_room(self) -> None:
        """Close some connections that do nothing, first those that never did; or else this one."""
        others: list[Any] = [other for other in self.connections if other is not self]
        idle = [other for other in others if other.does_nothing()]
        idle.sort(key=lambda other: (other.phase == IDLE, other.since()))
        for other in idle[: len(idle) // 16 + 1] or [self]:
            other.transport.abort()

    def does_nothing(self) -> bool:
        """Tell whether no request is being answered or has come as far as its body."""
        return self.phase in (FIRST, HEAD_BEGUN, HEAD) or (
            self.phase == IDLE and (self.cycle is None or self.cycle.response_complete)
        )

    def since(self) -> float:
        """Return when it was last noticed that more must come, or when the connection was made."""
        return self._since

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
