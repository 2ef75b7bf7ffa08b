"""Measure the time of a prediction request in each stage, and its outcome.

This is for requests with their own task. The fast path from the socket counts the same without such an object. This
module must not know models or HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType

from app.context import CONTEXT, current_deadline
from app.errors import ClientGone, Outcome, ServingError
from app.telemetry.version_counters import VersionCounts


class Stages:
    """Measure one request, as a context manager around its handling; times of blocks are added up.

    Times are nanoseconds of `time.perf_counter_ns`.

    Attributes:
        began_ns: when handling the request started.
        took_ns: time in each of `app.telemetry.version_counters.STAGES`.
        counts: counts of the version that answers, once it is known.
    """

    __slots__ = ("_of_refused", "_since_ns", "began_ns", "counts", "outcome", "took_ns")

    def __init__(self, of_refused: Callable[[], VersionCounts | None]) -> None:
        """Start the clock; `of_refused` returns the counts for a request refused before its version was known."""
        self.began_ns = self._since_ns = time.perf_counter_ns()
        self.took_ns = [0, 0, 0, 0]
        self.counts: VersionCounts | None = None
        self.outcome: Outcome = "ok"
        self._of_refused = of_refused

    def resume(self) -> None:
        """Restart the clock after a time that counts for no stage, such as waiting for the client."""
        self._since_ns = time.perf_counter_ns()

    def record_parse(self) -> None:
        """Count the time since the last call as parsing."""
        self._add(0)

    def record_compute(self, began_ns: int, took_ns: int) -> None:
        """Count the time from the last call to `began_ns` as queueing, and `took_ns` as computing."""
        self.took_ns[1] += began_ns - self._since_ns
        self.took_ns[2] += took_ns
        self._since_ns = time.perf_counter_ns()

    def record_encode(self) -> None:
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
        """Count the request by its outcome."""
        counts = self.counts = self.counts or self._of_refused()
        if error is not None:
            self.outcome = outcome_of(error)
        if (context := CONTEXT.get()) is not None and context.stages is not None:
            context.stages.append(self)
        if counts is None:
            return
        if error is None:
            parse_ns, queue_ns, compute_ns, encode_ns = self.took_ns
            counts.count_answer((parse_ns, queue_ns, compute_ns, encode_ns))
        else:
            counts.count_end(self.outcome)


def outcome_of(error: BaseException) -> Outcome:
    """Return the outcome of a request that ended with this exception."""
    known: BaseException | None = error
    if not isinstance(known, (ServingError, ClientGone)):
        known = error.__cause__  # the error behind an answer that had begun
    if not isinstance(known, (ServingError, ClientGone)):
        known = current_deadline().error_at(time.perf_counter_ns())  # the cause may be a client that left or a deadline
    if known is not None:
        return known.outcome
    return "cancelled" if isinstance(error, (asyncio.CancelledError, GeneratorExit)) else "error"
