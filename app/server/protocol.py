"""A protocol with deadlines and an orderly end, which answers what never becomes a request; it knows no routes.

uvicorn has no deadline for a request that never ends, and refuses what is no HTTP before it answers what came earlier.
Deadlines are looked after apart (`app/server/timeouts.py`), so requests that come whole pay nothing for them.
"""

from __future__ import annotations

import asyncio
import select
from abc import abstractmethod
from typing import Any

from app.errors import MalformedBody, ServingError
from app.security.errors import ReceiveTimeout
from app.server.parsing import ParsingProtocol
from app.server.timeouts import BODY, BODY_BEGUN, FIRST, HEAD, HEAD_BEGUN, IDLE, LOOK_S, Pace, late_s

FIRST_WORDS_S = 0.5  # of a new connection, when the server stops: so long its first request may be under way
LINGER_S = 2.0  # after an answer to a body that is not read, so that the client gets to read the answer


class BoundedProtocol(ParsingProtocol):
    """See the module. The class that derives from it says how a refusal is written.

    Attributes:
        answered: see `app.server.timeouts.Connection`.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.answered = 0
        self._pace = Pace()
        self._due: ServingError | None = None  # the refusal of the last one, when those before it have their answers
        self._lingers = False
        self._last = False

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

    def on_headers_complete(self) -> None:
        """Let uvicorn answer the request, now or when those before it have their answers."""
        super().on_headers_complete()
        cycle = self.cycle
        if cycle is not None:
            cycle.keep_alive &= not self._last
            self.scope["tabserve.gone"] = lambda: cycle.disconnected  # type: ignore[typeddict-unknown-key]
            cycle.transport = _Lingering(self)  # type: ignore[assignment] # it has all that a cycle uses

    def on_response_complete(self) -> None:
        """Be told that an answer is written; what is left of a body that nobody wants stays unread.

        uvicorn would set a timer that the next request cancels; instead `timeouts.py` sees whether there is a next one.
        """
        self.answered += 1
        if self.deaf:
            self._go_on_to_the_end()
        elif self.pipeline or self.transport.is_closing():
            super().on_response_complete()  # which sets none here
        else:
            self.server_state.total_requests += 1
            self.flow.resume_reading()

    def _go_on_to_the_end(self) -> None:
        """Answer what was asked before the reading stopped, then refuse what was not understood."""
        if self.pipeline and not self._lingers:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if self._due is not None and not self.ends:
            self.refuse(self._due)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or was refused while it was parsed; requests before it get their answers first."""
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
            self.linger()  # it has its answer
        elif last is None or last.response_complete:
            self.refuse(error)
        else:
            self._due = error

    def _break_off(self, cycle: Any, error: ServingError) -> None:
        """Refuse the request that is being answered."""
        if getattr(cycle, "response_started", False):
            self.transport.abort()  # what is sent of the answer must not look whole
            return
        cycle.disconnected = True
        cycle.message_event.set()
        self.refuse(error)

    def give_up(self) -> None:
        """Close the connection of a client that is too slow, with an answer if it waits for one."""
        if self.phase == FIRST or (self.phase == BODY and self.cycle.response_complete):
            self.transport.close()
        else:
            self.refusal = ReceiveTimeout()
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
        answered = self.cycle is None or self.cycle.response_complete
        return answered and self.phase in (FIRST, HEAD_BEGUN, HEAD, IDLE)

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

    @property
    def ends(self) -> bool:
        """Tell whether nothing may be written any more."""
        return self._lingers or self.transport.is_closing()

    def linger(self) -> None:
        """Close, but if the client still sends a body that nobody reads, let it read the answer first."""
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
    """The transport as an answer's cycle sees it: closing it gives the client time to read, and is the end for it."""

    def __init__(self, protocol: BoundedProtocol) -> None:
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        if not self.is_closing():
            self._protocol.transport.write(data)

    def is_closing(self) -> bool:
        return self._protocol.ends

    def close(self) -> None:
        self._protocol.linger()
