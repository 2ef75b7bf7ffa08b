"""Signal handling: exit at once before the service has started, note signals afterwards.

This module imports only a small part of the standard library, because `app.__main__` installs the handlers before it
imports anything that takes time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)
SIGNALLED = 128  # shells report 128 + the signal number for a process that a signal ended


class NotedSignals:
    """Context manager that queues signals and becomes readable for `select` when one arrives.

    After exit, stop signals are ignored, because nothing is left to do but to end the process.
    """

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._woken, self._waker = socket.socketpair()

    def __enter__(self) -> NotedSignals:
        """Start noting signals; the end of a child process makes this object readable, too."""
        for end in (self._woken, self._waker):
            end.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in (*STOPPING, signal.SIGCHLD):
            signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Ignore stop signals from now on."""
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        self._woken.close()
        self._waker.close()

    def fileno(self) -> int:
        """Return the file descriptor that becomes readable when a signal arrives."""
        return self._woken.fileno()

    def take(self) -> list[int]:
        """Return the stop signals received since the last call, in order."""
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(1 << 12)
        taken, self._numbers = self._numbers, []
        return taken

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number in STOPPING:
            self._numbers.append(number)


def leave(number: int, _frame: FrameType | None = None) -> None:
    """End this process now, without flushing, finishing or waiting for anything; its children die with it."""
    os._exit(SIGNALLED + number)


def leave_when_told() -> None:
    """Exit at once on a stop signal (SIGINT or SIGTERM).

    The first process of a container ignores signals that it does not handle, and Python's default handler of SIGINT
    would print a traceback.
    """
    for number in STOPPING:
        signal.signal(number, leave)
