"""HTTP protocol with deadlines, a connection limit, refusals in order and a graceful close.

uvicorn has no deadline for a request that never ends, and refuses malformed input before it has answered the earlier
requests on the connection. Deadlines are checked separately (`app/server/timeouts.py`), so requests that arrive whole
pay nothing for them. This module must not know routes.
"""

from __future__ import annotations

import asyncio
import select
from abc import abstractmethod
from typing import Any

from app.errors import MalformedBody, ServingError
from app.security.admission import GONE
from app.security.errors import ReceiveTimeout
from app.server.parsing import ParsingProtocol
from app.server.timeouts import BODY, BODY_BEGUN, FIRST, HEAD, HEAD_BEGUN, IDLE, LOOK_S, Pace, late_s

FIRST_WORDS_S = 0.5  # at shutdown, the first request of a new connection may still be under way for this long
LINGER_S = 2.0  # after a response to a request whose body is not read, so that the client can read the response


class BoundedProtocol(ParsingProtocol):
    """HTTP protocol with deadlines and refusals; see the module docstring. A subclass writes the refusals.

    Attributes:
        answered: see `app.server.timeouts.TimedConnection`.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.answered = 0
        self._pace = Pace()
        self._ahead: Any = None  # the request that is being answered while others wait behind it
        self._due: ServingError | None = None  # refusal of the last request, sent after the responses before it
        self._lingers = False
        self._last = False

    @abstractmethod
    def refuse(self, error: ServingError) -> None:
        """Write an error response, after which the connection is closed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Start the deadline checks, and make room if there are too many connections."""
        super().connection_made(transport)
        self._pace.begin(self)
        if len(self.connections) > self.bounds.max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the deadline checks, and tell the request being answered; uvicorn tells only the last one."""
        self._pace.end()
        ahead, self._ahead = self._ahead, None
        super().connection_lost(exc)
        if ahead is not None and not ahead.response_complete:
            ahead.disconnected = True
            ahead.message_event.set()

    def on_headers_complete(self) -> None:
        """Let uvicorn answer the request, now or after the responses to earlier requests."""
        before = self.cycle
        super().on_headers_complete()
        if len(self.pipeline) == 1:
            self._ahead = before
        cycle = self.cycle
        if cycle is not None:
            cycle.keep_alive &= not self._last
            self.scope[GONE] = lambda: cycle.disconnected  # type: ignore[literal-required]
            cycle.transport = _Lingering(self)  # type: ignore[assignment] # it has all that a cycle uses

    def on_response_complete(self) -> None:
        """Go on with the connection after a response was written; the rest of an unwanted body stays unread.

        uvicorn would set a keep-alive timer that the next request cancels; here `timeouts.py` notices idle connections.
        """
        self.answered += 1
        if self.deaf:
            self._go_on_to_the_end()
        elif self.pipeline or self.transport.is_closing():
            self._go_on()
        else:
            self.server_state.total_requests += 1
            self.flow.resume_reading()

    def _go_on(self) -> None:
        """Let uvicorn begin with the next request, if there is one; it sets no timer in these cases."""
        self._ahead = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()

    def _go_on_to_the_end(self) -> None:
        """Answer the requests that came before reading stopped, then send the refusal."""
        if self.pipeline and not self._lingers:
            self._go_on()
            return
        self.server_state.total_requests += 1
        if self._due is not None and not self.ends:
            self.refuse(self._due)

    def send_400_response(self, msg: str) -> None:
        """Refuse malformed HTTP or a request refused by the parser; earlier requests are answered first."""
        if self.deaf or self.transport.is_closing():
            return
        self.deaf = True
        if msg:
            self.logger.warning(msg)
        error = self.refusal or MalformedBody(f"{msg} Send HTTP/1.1 as RFC 9112 has it")
        last: Any = self.cycle
        is_request = self.phase in (BODY_BEGUN, BODY)
        if is_request and self.pipeline and self.pipeline[0][0] is last:
            self.pipeline.popleft()
            self._due = error
        elif is_request and not last.response_complete:
            self._break_off(last, error)
        elif is_request:
            self.linger()  # the request is answered already
        elif last is None or last.response_complete:
            self.refuse(error)
        else:
            self._due = error

    def _break_off(self, cycle: Any, error: ServingError) -> None:
        """Refuse the request that is being answered."""
        if getattr(cycle, "response_started", False):
            self.transport.abort()  # a partial response must not look complete
            return
        cycle.disconnected = True
        cycle.message_event.set()
        self.refuse(error)

    def give_up(self) -> None:
        """Close the connection of a client that is too slow, with a response if it waits for one."""
        if self.phase == FIRST or (self.phase == BODY and self.cycle.response_complete):
            self.transport.close()
        else:
            self.refusal = ReceiveTimeout()
            self.send_400_response("")

    def resume_writing(self) -> None:
        """Resume writing, because the client has read most of the buffered data."""
        self._pace.note_read()
        super().resume_writing()

    def close_if_silent(self) -> None:
        """Close, unless received data is still unread: closing then would reset the connection."""
        if not self._has_unread():
            self.transport.close()

    def has_left(self) -> bool:
        """Tell whether the client closed while requests wait here: the event loop reads nothing then."""
        return bool(self.pipeline) and self.flow.read_paused and self._polls(select.POLLRDHUP)

    def _make_room(self) -> None:
        """Close some idle connections, unused ones first; else those with the slowest bodies; else this one."""
        others: list[Any] = [other for other in self.connections if other is not self]
        idle = [other for other in others if other.does_nothing()]
        idle.sort(key=lambda other: (other.phase == IDLE, other.since_s))
        if not idle:
            idle = [other for other in others if other.phase == BODY and late_s(other) > LOOK_S]
            idle.sort(key=late_s, reverse=True)
        for other in idle[: len(idle) // 16 + 1] or [self]:
            other.transport.abort()

    def does_nothing(self) -> bool:
        """Tell whether no request is being answered and none has reached its body."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered and self.phase in (FIRST, HEAD_BEGUN, HEAD, IDLE)

    def drain(self) -> None:
        """Make the response to the current request, or else to the next, the last on this connection."""
        self._last = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close once no request is in progress; requests sent before the server stopped listening are answered."""
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
        """Tell whether the socket has data that the event loop has not delivered yet."""
        return self._polls(select.POLLIN)

    def _polls(self, event: int) -> bool:
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), event)
        return bool(poll.poll(0))

    @property
    def ends(self) -> bool:
        """Tell whether nothing more may be written."""
        return self._lingers or self.transport.is_closing()

    def linger(self) -> None:
        """Close the connection; a client that is still sending an unread body may read the response first."""
        self.deaf = True
        if self.phase not in (BODY_BEGUN, BODY) or self._lingers:
            self.transport.close()
            return
        self._lingers = True
        self.flow.pause_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)


class _Lingering:
    """The transport given to a cycle: closing it lingers, so that the client can read, and then allows no writes."""

    def __init__(self, protocol: BoundedProtocol) -> None:
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        """Write, unless the transport is closing."""
        if not self.is_closing():
            self._protocol.transport.write(data)

    def is_closing(self) -> bool:
        """Return whether the connection ends."""
        return self._protocol.ends

    def close(self) -> None:
        """Close once the client had time to read."""
        self._protocol.linger()
