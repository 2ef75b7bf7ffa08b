"""What signals do: before there is anything to finish the process leaves at once; later they are noted.

Only the standard library, and little of it: `app.__main__` installs this before it imports anything that takes time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)
SIGNALLED = 128  # what a shell adds to the number of the signal that ended a process


class NotedSignals:
    """Signals that end nothing by themselves: they are noted, and make this object readable, as `select` means it.

    While it is entered; then signals are ignored, for there is nothing left to do but to exit.
    """

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._woken, self._waker = socket.socketpair()

    def __enter__(self) -> NotedSignals:
        """Begin to note them; the end of a child makes this readable, too."""
        for end in (self._woken, self._waker):
            end.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in (*STOPPING, signal.SIGCHLD):
            signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Ignore them from now on."""
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        self._woken.close()
        self._waker.close()

    def fileno(self) -> int:
        """Return what can be read when something was noted."""
        return self._woken.fileno()

    def take(self) -> list[int]:
        """Return the signals that came since the last time, in their order."""
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(1 << 12)
        taken, self._numbers = self._numbers, []
        return taken

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number in STOPPING:
            self._numbers.append(number)


def leave(number: int, _frame: FrameType | None = None) -> None:
    """End this process now: nothing is flushed, finished or waited for; what it started dies with it."""
    os._exit(SIGNALLED + number)


def leave_when_told() -> None:
    """Leave at once when one of the signals comes that stop a service.

    The first process of a container ignores a signal that it does not handle, and Python's own handler of SIGINT would
    show where it was interrupted.
    """
    for number in STOPPING:
        signal.signal(number, leave)
