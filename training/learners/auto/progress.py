"""Report a member's training as notices, because its epochs are not the model's history."""

from __future__ import annotations

import time

from modelstore import EpochMetrics, Notice
from training.learners.protocol import Event, Report

REPORT_S = 2.0


class MemberReport:
    """Passes on the notices of a member, and an epoch every few seconds as a notice."""

    def __init__(self, report: Report, place: str) -> None:
        """Create the report.

        Args:
            report: receives the notices.
            place: who trains, and where in the order, as in "auto: mlp, member 2 of 4".
        """
        self._report, self._place = report, place
        self._reported_s = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Pass on an event."""
        if not isinstance(event, EpochMetrics):
            self._report(event)
        elif (now_s := time.monotonic()) >= self._reported_s + REPORT_S:
            self._reported_s = now_s
            loss = event.train_loss if event.validation_loss is None else event.validation_loss
            done = f"epoch {event.epoch}/{event.epochs}, loss {loss:.4f}, {event.remaining_s:.0f} s left"
            self._report(Notice(message=f"{self._place}: {done}"))
