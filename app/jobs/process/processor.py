"""Notice when a process gets almost no processor, from the times that Linux counts for it.

This module must not know jobs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from app.jobs.process.identity import read_stat

WINDOW_S = 10.0
LEAST_SHARE = (
    0.02  # of one processor; a training always computes, and at niceness 19 it gets 0.015 beside another process
)
LOOK_INTERVAL_S = 1.0
_CAUSES = {"R": "other processes need all processors", "D": "it waits for a disk", "T": "it was stopped by a signal"}


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor time of a process in seconds, and its state, the letter of proc(5)."""

    used_s: float
    state: str


def read_usage(pid: int) -> Usage | None:
    """Return the usage of a process; None if it has ended, or the system does not tell."""
    if not (fields := read_stat(pid)):
        return None
    user, system = map(int, fields[11:13])
    return Usage((user + system) / os.sysconf("SC_CLK_TCK"), fields[0])


class ProcessorWatch:
    """Watches one process: says once that it gets almost no processor, and again when it gets some."""

    def __init__(self, read: Callable[[], Usage | None], now: float) -> None:
        """Begin to watch; `read` returns the usage of the process, `now` is in seconds of a monotonic clock."""
        self._read = read
        self._looked = self._begin = self._starving_since = now
        self._used_s = 0.0
        self.starving = False

    def look(self, now: float) -> str | None:
        """Return a sentence if the process began or ceased to starve; read the usage at most once a second."""
        if now < self._looked + LOOK_INTERVAL_S:
            return None
        self._looked = now
        usage = self._read()
        if usage is None:
            return None
        gained = usage.used_s - self._used_s
        if gained < LEAST_SHARE * WINDOW_S:
            if now < self._begin + WINDOW_S:
                return None
            said = None if self.starving else self._starve(now, gained, usage.state)
        else:
            said = self._recover(now) if self.starving else None
        self._begin, self._used_s = now, usage.used_s
        return said

    def _starve(self, now: float, gained: float, state: str) -> str:
        self.starving, self._starving_since = True, self._begin
        cause = _CAUSES.get(state, "it waits for something else")
        return f"the training has had {gained:.2f} s of processor time in the last {now - self._begin:.0f} s: {cause}"

    def _recover(self, now: float) -> str:
        self.starving = False
        return f"the training runs again, after {now - self._starving_since:.0f} s almost without a processor"
