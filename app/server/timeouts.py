"""Whether a client keeps up with its own request, reads its answer, and asks again; it must not know what is said.

A look once a second costs a connection less than timers would cost each of its requests: a tenth of its time.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from app.security.rate_limit import ReceiveLimits

LOOK_S = 1.0
FEW_BYTES = 64 << 10  # of an answer: who reads so many in the time that it has is slow, but not stuck

# Where the parser is. The odd ones were entered in the packet that is being read, and their time does not run yet.
IDLE, HEAD_BEGUN, HEAD, BODY_BEGUN, BODY, FIRST = range(6)


class Connection(Protocol):
    """What is looked at.

    Attributes:
        phase: where the parser is.
        since_s: when it was last noticed that more must come, on the clock of the loop.
        received: bytes since then.
        excused_s: time since then in which nothing was read.
        answered: how many requests were.
        timeout_keep_alive: seconds that it may be idle between two requests.
    """

    bounds: ReceiveLimits
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    flow: Any
    cycle: Any
    phase: int
    since_s: float
    received: int
    excused_s: float
    answered: int
    timeout_keep_alive: int

    def close_if_silent(self) -> None:
        """Close the connection, unless something came that nobody has read yet."""
        ...

    def give_up(self) -> None:
        """Close the connection, since the client is too slow."""
        ...


class Pace:
    """Looks at one connection, as long as there is one; only the next look holds it, so that nothing is left behind."""

    def __init__(self) -> None:
        self._next: asyncio.TimerHandle | None = None
        self._stuck: tuple[float, int] | None = None
        self._answered = 0
        self._idle_since_s = 0.0

    def begin(self, connection: Connection) -> None:
        """Look in a second, and then again and again."""
        self._next = connection.loop.call_later(LOOK_S, self._look, connection)

    def end(self) -> None:
        """Look no more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def was_read(self) -> None:
        """Be told that the client has read most of what waited."""
        self._stuck = None

    def _look(self, connection: Connection) -> None:
        """See whether the client keeps up."""
        self.begin(connection)
        if self._is_stuck(connection):
            connection.transport.abort()
        elif connection.transport.is_closing():
            return
        elif connection.phase == IDLE:
            if self._is_idle(connection):
                connection.close_if_silent()
        elif connection.phase == BODY and connection.flow.read_paused:
            connection.excused_s += LOOK_S
        elif late_s(connection) > connection.bounds.timeout_s:
            connection.give_up()

    def _is_idle(self, connection: Connection) -> bool:
        """Tell whether nothing was asked in the time that a connection is kept; noticed up to `LOOK_S` later."""
        now, cycle = connection.loop.time(), connection.cycle
        if connection.answered != self._answered or (cycle is not None and not cycle.response_complete):
            self._answered, self._idle_since_s = connection.answered, now
            return False
        return now - self._idle_since_s > connection.timeout_keep_alive

    def _is_stuck(self, connection: Connection) -> bool:
        """Tell whether the client does not read what waits for it, at least `FEW_BYTES` in the time that it has."""
        cycle, transport = connection.cycle, connection.transport
        waiting = transport.get_write_buffer_size()
        more_comes = cycle is not None and not cycle.response_complete and not connection.flow.write_paused
        if not waiting or (more_comes and not transport.is_closing()):
            self._stuck = None
            return False
        now = connection.loop.time()
        if self._stuck is None or waiting <= self._stuck[1] - FEW_BYTES:
            self._stuck = (now, waiting)
        return now - self._stuck[0] > connection.bounds.send_timeout_s


def late_s(connection: Connection) -> float:
    """Return how long a client has kept the service waiting for its request, less the time that its body earned it."""
    earned_s = connection.received / connection.bounds.min_rate if connection.phase == BODY else 0.0
    return connection.loop.time() - connection.since_s - connection.excused_s - earned_s
