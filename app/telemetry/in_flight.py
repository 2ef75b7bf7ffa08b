"""Count requests in progress and waiting requests, and limit the former.

A waiting request costs memory and a connection, which are bounded elsewhere. If it counted as in progress, clients that
send half of a body, read nothing or wait for a training would block all others. This module must not know HTTP.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from app.errors import TooManyInFlight
from app.telemetry.metrics import ServingMetrics


class Flight:
    """One request from its headers to its response; it counts as in progress except while it waits."""

    def __init__(self, metrics: ServingMetrics, max_in_flight: int) -> None:
        self._metrics = metrics
        self._max_in_flight = max_in_flight
        self._waits = 0

    def begin(self) -> None:
        """Count the request as in progress."""
        self._metrics.in_progress += 1

    def end(self) -> None:
        """Stop counting the request as in progress."""
        self._metrics.in_progress -= 1

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the request as waiting inside this context; several of its tasks may wait at a time."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def pause(self) -> None:
        """Count the request as waiting, for something that is not this service's work."""
        self._waits += 1
        if self._waits == 1:
            self._metrics.waiting += 1
            self.end()

    def resume(self) -> None:
        """Count the request as in progress again once none of its tasks waits."""
        self._waits -= 1
        if not self._waits:
            self._metrics.waiting -= 1
            self.begin()

    def require_room(self) -> None:
        """Check that the number of requests in progress is within the limit.

        Raises:
            TooManyInFlight: if there are too many other requests.
        """
        if self._metrics.in_progress > self._max_in_flight:
            raise TooManyInFlight(self._max_in_flight)
