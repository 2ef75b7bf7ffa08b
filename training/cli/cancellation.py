"""Stop a training by SIGTERM or Ctrl-C, until publication begins."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Self

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Cancelled(BaseException):  # passes `except Exception`, like KeyboardInterrupt
    """The process received a stop signal before anything was published."""


class Cancellation:
    """Context in which the first SIGTERM or SIGINT raises Cancelled in the main thread.

    After `too_late`, signals are ignored, so that a publication that has begun is completed and reported.
    """

    def __init__(self) -> None:
        self._armed = True
        self._before = {number: signal.getsignal(number) for number in SIGNALS}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def too_late(self) -> None:
        """Ignore signals from now on."""
        self._armed = False

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self._armed:
            self._armed = False
            raise Cancelled(signal.Signals(number).name)
