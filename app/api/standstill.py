"""Detect a standstill: all request slots are taken, and nothing is computed or answered.

The service then reports that it is not ready. This module must not know HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from app.lifecycle import Lifetime
from app.security.keys import Scope
from app.security.permissions import AccessTable
from app.telemetry.metrics import ServingMetrics

LOOK_S = 1.0
STANDSTILL_S = 10.0


class Standstill:
    """Check for a standstill once a second and update readiness.

    Under mere load, requests are still answered all the time, however many are refused. A few large requests may be
    answered for longer than that, but their rows are computed meanwhile.
    """

    def __init__(
        self,
        metrics: ServingMetrics,
        table: AccessTable,
        max_in_flight: int,
        lifetime: Lifetime,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Select the routes whose requests take a slot.

        Args:
            metrics: counts the requests in progress, those answered and the rows computed.
            table: the access table; probes and metrics take no slot.
            max_in_flight: number of slots.
            lifetime: its `stands_still` is updated.
            clock: monotonic clock, in seconds.
        """
        self._metrics = metrics
        self._routes = frozenset(
            template
            for template, by_method in table.routes.items()
            if not {route.scope for route in by_method.values()} & {None, Scope.METRICS}
        )
        self._max_in_flight = max_in_flight
        self._lifetime = lifetime
        self._clock = clock
        self._done = (0.0, 0.0)
        self._since_s: float | None = None

    async def keep_watch(self) -> None:
        """Check once a second, forever."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.check()

    def check(self) -> None:
        """Record whether every slot has been taken for `STANDSTILL_S` without an answer or a computed batch."""
        now, before = self._clock(), self._done
        if self._metrics.in_progress < self._max_in_flight:
            self._since_s = None
        else:
            self._done = (self._metrics.count_successes(self._routes), self._metrics.batches())
            if self._since_s is None or self._done != before:
                self._since_s = now
        self._lifetime.stands_still = self._since_s is not None and now - self._since_s >= STANDSTILL_S
