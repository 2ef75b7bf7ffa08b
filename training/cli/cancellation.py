"""Stop a training by SIGTERM, or end it early by Ctrl-C, until publication begins."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Self

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Cancelled(BaseException):  # passes `except Exception`, like KeyboardInterrupt
    """The process received a stop signal before anything was published."""


class Cancellation:
    """Context in which SIGTERM, and the second SIGINT, raises Cancelled in the main thread.

    The first SIGINT (Ctrl-C) only sets `end_requested`: the training ends early, and publishes what it has learnt by
    then. One that has ended a search does not count for the training after it.
    After `too_late`, signals are ignored, so that a publication that has begun is completed and reported.

    Attributes:
        end_requested: whether there was a first SIGINT, since the search if there is one.
    """

    def __init__(self) -> None:
        self._armed, self.end_requested = True, False
        self._before = {number: signal.getsignal(number) for number in SIGNALS}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def search_ended(self) -> None:
        """Take the next SIGINT for the first one again."""
        self.end_requested = False

    def too_late(self) -> None:
        """Ignore signals from now on."""
        self._armed = False

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self._armed and number == signal.SIGINT and not self.end_requested:
            self.end_requested = True
        elif self._armed:
            self._armed = False
            raise Cancelled(signal.Signals(number).name)
