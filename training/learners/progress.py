"""Progress and speed of a training in epochs."""

from __future__ import annotations

import time
from typing import Any

from modelstore import EpochMetrics, Notice
from training.learners.protocol import Report

REPORT_S = 2.0


class EpochProgress:
    """Progress and speed of a training of `epochs` epochs with `rows` rows each."""

    def __init__(self, epochs: int, rows: int, report: Report) -> None:
        self._epochs, self._rows, self._report = epochs, rows, report
        self._started_s = time.perf_counter()

    def start(self, epoch: int) -> None:
        """Start the clock of an epoch, counted from 1."""
        self._epoch, self._seen = epoch, 0
        self._epoch_started_s = self._reported_s = time.perf_counter()

    def advance(self, rows: int) -> None:
        """Count rows of the epoch; every `REPORT_S` seconds, report the progress."""
        self._seen += rows
        now_s = time.perf_counter()
        if now_s <= self._reported_s + REPORT_S or self._seen == self._rows:
            return
        self._reported_s, speed = now_s, self._seen / (now_s - self._epoch_started_s)
        done = f"{self._seen:,} of {self._rows:,} rows, {speed:,.0f} rows/s"
        self._report(Notice(message=f"epoch {self._epoch}/{self._epochs}: {done}"))

    def stop(self) -> None:
        """Stop the clock of the epoch's steps; measurements follow."""
        self._speed = self._rows / (time.perf_counter() - self._epoch_started_s)

    def metrics(self, **measured: Any) -> EpochMetrics:
        """Return the epoch's metrics: the measured values with epoch number and times."""
        elapsed_s = time.perf_counter() - self._started_s
        return EpochMetrics(
            epoch=self._epoch,
            epochs=self._epochs,
            rows_per_s=self._speed,
            elapsed_s=elapsed_s,
            remaining_s=elapsed_s / self._epoch * (self._epochs - self._epoch),
            **measured,
        )
