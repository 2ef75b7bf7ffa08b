"""Deadlines of a connection: for receiving a request, sending a response and staying idle.

Each connection is checked once a second. Timers would cost each request a tenth of its time. This module must not know
what the requests contain.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from app.security.rate_limit import ReceiveLimits

LOOK_S = 1.0
FEW_BYTES = 64 << 10  # of a response: a client that reads this many in the time limit is slow, but not stuck

# States of the parser. An odd state was entered in the packet that is being read, and its time does not run yet.
IDLE, HEAD_BEGUN, HEAD, BODY_BEGUN, BODY, FIRST = range(6)


class TimedConnection(Protocol):
    """The parts of a connection that the checks use.

    Attributes:
        phase: state of the parser.
        since_s: when the service began to wait for the current head or body, on the clock of the loop.
        received: bytes received since then.
        excused_s: seconds since then in which the server itself paused reading.
        answered: number of requests answered.
        timeout_keep_alive: seconds that the connection may be idle between two requests.
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
        """Close the connection, unless received data is still unread."""

    def has_left(self) -> bool:
        """Tell whether the client closed the connection while nothing is read from it."""

    def give_up(self) -> None:
        """Close the connection, because the client is too slow."""


class Pace:
    """Check one connection once a second; only the pending timer refers to it, so ending the timer releases it."""

    def __init__(self) -> None:
        self._next: asyncio.TimerHandle | None = None
        self._stuck: tuple[float, int] | None = None
        self._answered = 0
        self._idle_since_s = 0.0

    def begin(self, connection: TimedConnection) -> None:
        """Start the checks; the first is due in a second."""
        self._next = connection.loop.call_later(LOOK_S, self._look, connection)

    def end(self) -> None:
        """Stop the checks."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def note_read(self) -> None:
        """Note that the client has read most of the buffered data."""
        self._stuck = None

    def _look(self, connection: TimedConnection) -> None:
        """Check whether the client keeps up, and schedule the next check."""
        self.begin(connection)
        if self._is_stuck(connection) or connection.has_left():
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

    def _is_idle(self, connection: TimedConnection) -> bool:
        """Tell whether the keep-alive time passed without a request; detected up to `LOOK_S` late."""
        now, cycle = connection.loop.time(), connection.cycle
        if connection.answered != self._answered or (cycle is not None and not cycle.response_complete):
            self._answered, self._idle_since_s = connection.answered, now
            return False
        return now - self._idle_since_s > connection.timeout_keep_alive

    def _is_stuck(self, connection: TimedConnection) -> bool:
        """Tell whether the client read less than `FEW_BYTES` of the buffered response within the time limit."""
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


def late_s(connection: TimedConnection) -> float:
    """Return how long the client has kept the service waiting, in seconds, less the time earned by received bytes."""
    earned_s = connection.received / connection.bounds.min_rate if connection.phase == BODY else 0.0
    return connection.loop.time() - connection.since_s - connection.excused_s - earned_s
