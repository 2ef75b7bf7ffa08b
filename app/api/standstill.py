"""Whether anything is answered any more: if every place is taken and nothing is, nobody should ask here; no HTTP."""

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
    """Looks once a second, and tells readiness; under load answers come all the time, however many are refused."""

    def __init__(
        self,
        metrics: ServingMetrics,
        table: AccessTable,
        max_in_flight: int,
        lifetime: Lifetime,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Store the parts.

        Args:
            metrics: know how many requests are being answered, and how many were.
            table: tells what needs a place; probes and figures do not.
            max_in_flight: how many places there are.
            lifetime: is told.
            clock: seconds that never go back.
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
        self._answered = 0.0
        self._since_s: float | None = None

    async def keep_watch(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Note whether every place has been taken for a while in which nothing was answered well."""
        now, before = self._clock(), self._answered
        if self._metrics.in_progress < self._max_in_flight:
            self._since_s = None
        else:
            self._answered = self._metrics.answered_well(self._routes)
            if self._since_s is None or self._answered != before:
                self._since_s = now
        self._lifetime.stands_still = self._since_s is not None and now - self._since_s >= STANDSTILL_S
