"""Open loop: requests leave at times fixed in advance, whatever the server does.

Latency counts from the scheduled moment, so a server that stalls pays for every request that fell due meanwhile
(no coordinated omission). How late the client itself was is reported with it.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.clients import Address, Connection, Failed, Pool, Reply, pool
from benchmarks.requests import Request

CONNECTIONS = 64
_FIRST_S = 0.02
_DRAIN_S = 30.0

Schedule = NDArray[np.float64]


def evenly(rate_per_s: float, seconds: float) -> Schedule:
    """Return moments in seconds from the start, evenly spaced, at least one."""
    return np.arange(max(1, int(rate_per_s * seconds))) / rate_per_s


def at_random(rate_per_s: float, seconds: float, seed: int) -> Schedule:
    """Return moments in seconds from the start as independent clients make them (a Poisson process)."""
    gaps = np.random.default_rng(seed).exponential(1 / rate_per_s, max(1, int(rate_per_s * seconds)))
    return np.cumsum(gaps)


@dataclass
class Beside:
    """Requests that another connection asks meanwhile, one after the other.

    Attributes:
        next: gives the request of number 0, 1, ... as it travels; None ends it, and the open loop with it.
        pause_s: seconds from one request to the next, at least.
        replies: number of 200 answers.
        failures: number of others.
    """

    address: Address
    next: Callable[[int], bytes | None]
    pause_s: float = 0.0
    replies: int = 0
    failures: int = 0


@dataclass
class Arrivals:
    """What an open loop gave.

    Attributes:
        latencies_s: of each request that was answered 200, from its scheduled moment.
        late_s: how late the client noticed that a request was due.
        replies: the answers with their bodies, if they were kept.
        failures: requests without a 200 answer.
    """

    latencies_s: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    failures: int = 0

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile of the latencies in milliseconds."""
        return float(np.percentile(self.latencies_s, percent)) * 1e3

    @property
    def late_p99_ms(self) -> float:
        """Return the 99th percentile of the client's own lateness in milliseconds."""
        return float(np.percentile(self.late_s, 99)) * 1e3


def open_loop(
    address: Address, request: Request, schedule: Schedule, *, beside: Beside | None = None, keep: bool = False
) -> Arrivals:
    """Send a request at every moment of the schedule, in ascending seconds, and wait until all are answered.

    Raises:
        Failed: if answers are missing half a minute after the last request.
    """
    with contextlib.ExitStack() as stack:
        clients = stack.enter_context(pool(address, CONNECTIONS, keep=keep))
        others = _Others(stack.enter_context(pool(beside.address, 1)), beside) if beside else None
        return _Run(clients, request.wire(), keep=keep).go(schedule.tolist(), others)


class _Others:
    """The requests that are asked beside."""

    def __init__(self, clients: Pool, beside: Beside) -> None:
        self._clients = clients
        self._beside = beside
        self._asked = 0
        self._next_s = 0.0
        self._waits = False
        self.over = False
        self._ask()

    def turn(self) -> None:
        """Take an answer that has come, and ask again when that is due."""
        done: list[Connection] = []
        self._clients.poll(done)
        for connection in done:
            if connection.reply is not None and connection.reply.status == 200:
                self._beside.replies += 1
            else:
                self._beside.failures += 1
            self._waits = True
        if self._waits and time.perf_counter() >= self._next_s:
            self._ask()

    def _ask(self) -> None:
        wire = self._beside.next(self._asked)
        self._asked, self._waits, self._next_s = self._asked + 1, False, time.perf_counter() + self._beside.pause_s
        if wire is None or not self._clients.free:
            self.over = True
        else:
            self._clients.send(wire)


class _Run:
    """The loop: requests that are due, requests without a response yet, and responses."""

    def __init__(self, clients: Pool, wire: bytes, *, keep: bool) -> None:
        self._clients = clients
        self._wire = wire
        self._keep = keep
        self._waiting: deque[float] = deque()
        self._sent: dict[Connection, float] = {}
        self._result = Arrivals()

    def go(self, schedule: list[float], others: _Others | None) -> Arrivals:
        """Run to the end of the schedule, or of the others."""
        began, place, end = time.perf_counter() + _FIRST_S, 0, len(schedule)
        while place < end or self._waiting or self._sent:
            now = time.perf_counter() - began
            while place < end and schedule[place] <= now:
                self._waiting.append(schedule[place])
                self._result.late_s.append(now - schedule[place])
                place += 1
            self._send_waiting()
            self._collect(began)
            if others:
                others.turn()
                end = max(place, 1) if others.over else end  # one at least, or there is nothing to report
            if place == end and now > schedule[end - 1] + _DRAIN_S:
                raise Failed(f"{len(self._sent) + len(self._waiting)} requests are not answered")
        return self._result

    def _send_waiting(self) -> None:
        while self._waiting and self._clients.free:
            scheduled = self._waiting.popleft()
            self._sent[self._clients.send(self._wire)] = scheduled

    def _collect(self, began: float) -> None:
        done: list[Connection] = []
        self._clients.poll(done)
        now = time.perf_counter() - began
        for connection in done:
            scheduled, reply = self._sent.pop(connection), connection.reply
            if reply is None or reply.status != 200:
                self._result.failures += 1
                continue
            self._result.latencies_s.append(now - scheduled)
            if self._keep:
                self._result.replies.append(reply)
