"""Which requests are being answered and which only wait; how many may be answered at a time; no HTTP.

Who waits costs memory and a connection, which are bounded elsewhere. If it counted as being answered, clients that send
half of a body, read nothing or wait for a training would keep all others from being served.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from app.errors import TooManyInFlight
from app.telemetry.metrics import ServingMetrics


class Flight:
    """One request from its head to its answer; it counts as being answered unless it waits for something."""

    def __init__(self, metrics: ServingMetrics, max_in_flight: int) -> None:
        """Store the parts; `begin` is where it counts from."""
        self._metrics = metrics
        self._max_in_flight = max_in_flight
        self._waits = 0

    def begin(self) -> None:
        """Count the request."""
        self._metrics.in_progress += 1

    def end(self) -> None:
        """Count it no more."""
        self._metrics.in_progress -= 1

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Do not count the request meanwhile; several of its tasks may wait at a time."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def pause(self) -> None:
        """Let the request wait: what it waits for is not ours to do."""
        self._waits += 1
        if self._waits == 1:
            self._metrics.waiting += 1
            self.end()

    def resume(self) -> None:
        """Let it go on."""
        self._waits -= 1
        if not self._waits:
            self._metrics.waiting -= 1
            self.begin()

    def require_room(self) -> None:
        """Check that a request that goes on may be answered now.

        Raises:
            TooManyInFlight: if there are too many others.
        """
        if self._metrics.in_progress > self._max_in_flight:
            raise TooManyInFlight(self._max_in_flight)


FLIGHT: ContextVar[Flight | None] = ContextVar("flight", default=None)


def waiting() -> contextlib.AbstractContextManager[None]:
    """Do not count the present request as being answered while it waits."""
    flight = FLIGHT.get()
    return contextlib.nullcontext() if flight is None else flight.waiting()
