"""How long one request for predictions is in which stage, and how it ends; it must not know models or HTTP.

For requests that have a task of their own. The short way from the socket counts the same without such an object.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType

from app.errors import (
    ClientGone,
    DeadlinePassed,
    ModelNotReady,
    Overloaded,
    ServingError,
    StoreUnavailable,
    TooManyBytesHeld,
    TooManyLoads,
    VersionRefused,
)
from app.patience import PATIENCE
from app.telemetry.version_counters import Outcome, VersionCounts

# The first that fits; what the client is told may be no fault of its own.
_OUTCOMES: tuple[tuple[type[Exception], Outcome], ...] = (
    (Overloaded, "rejected"),
    (TooManyLoads, "rejected"),
    (TooManyBytesHeld, "rejected"),
    (DeadlinePassed, "timeout"),
    (ClientGone, "cancelled"),
    (ModelNotReady, "error"),
    (VersionRefused, "error"),
    (StoreUnavailable, "error"),
    (ServingError, "client_error"),
)


class Stages:
    """A context manager around all that is done for one request; what is done in blocks is added up.

    Times are nanoseconds of `time.perf_counter_ns`.

    Attributes:
        began_ns: when the request was there.
        took_ns: time in each of `app.telemetry.version_counters.STAGES`.
        counts: those of the version that answers, as soon as it is known.
    """

    __slots__ = ("_of_refused", "_since_ns", "began_ns", "counts", "outcome", "took_ns")

    def __init__(self, of_refused: Callable[[], VersionCounts | None]) -> None:
        """Begin.

        Args:
            of_refused: returns where a request counts that was refused before anybody looked for a version.
        """
        self.began_ns = self._since_ns = time.perf_counter_ns()
        self.took_ns = [0, 0, 0, 0]
        self.counts: VersionCounts | None = None
        self.outcome: Outcome = "ok"
        self._of_refused = of_refused

    def resume(self) -> None:
        """Go on after a time that counts for nothing, such as waiting for the client."""
        self._since_ns = time.perf_counter_ns()

    def parsed(self) -> None:
        """Count the time since the last call as parsing."""
        self._add(0)

    def computed(self, began_ns: int, took_ns: int) -> None:
        """Count the time since the last call as queueing until the forward pass began, and as its computing."""
        self.took_ns[1] += began_ns - self._since_ns
        self.took_ns[2] += took_ns
        self._since_ns = time.perf_counter_ns()

    def encoded(self) -> None:
        """Count the time since the last call as writing the answer."""
        self._add(3)

    def _add(self, stage: int) -> None:
        now_ns = time.perf_counter_ns()
        self.took_ns[stage] += now_ns - self._since_ns
        self._since_ns = now_ns

    def __enter__(self) -> Stages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Count the request."""
        counts = self.counts = self.counts or self._of_refused()
        if error is not None:
            self.outcome = outcome_of(error)
        if (finished := FINISHED.get()) is not None:
            finished.append(self)
        if counts is None:
            return
        if error is None:
            parse_ns, queue_ns, compute_ns, encode_ns = self.took_ns
            counts.answered((parse_ns, queue_ns, compute_ns, encode_ns))
        else:
            counts.ended(self.outcome)


FINISHED: ContextVar[list[Stages] | None] = ContextVar("finished", default=None)
"""Where somebody wants to see what was measured of the present request, for a trace."""


def outcome_of(error: BaseException) -> Outcome:
    """Return how a request ended that ended with this."""
    told: BaseException | None = error
    if not isinstance(error, (ServingError, ClientGone)):
        told = error.__cause__  # of an answer that had begun
    if not isinstance(told, (ServingError, ClientGone)):
        told = PATIENCE.get().end(time.perf_counter_ns())  # whatever broke, perhaps nobody wanted it any more
    outcome: Outcome | None = next((outcome for kind, outcome in _OUTCOMES if isinstance(told, kind)), None)
    return outcome or ("cancelled" if isinstance(error, (asyncio.CancelledError, GeneratorExit)) else "error")
