"""Restart a single-process service whose event loop hangs, with the same PID and listener.

With several workers the supervisor does this (`supervisor.py`). In a single process a thread can do it, because torch
programs release the interpreter lock and Python loops hand it to other threads.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from app.jobs.process.identity import note_next_life
from app.server.listener import HANDED_ON

logger = logging.getLogger(__name__)

LOOKS = 30  # checks within the time limit; counting checks instead of reading a clock tolerates a suspended machine
CANNOT_START = 1
REAPING_S = 1.0  # for each child


class Watchdog:
    """Check that the event loop runs, from its first heartbeat until the service stops."""

    def __init__(self, silent_s: float, start_again: Callable[[], None]) -> None:
        """Prepare the watching thread; the first heartbeat starts it.

        Args:
            silent_s: how long the event loop may hang, in seconds.
            start_again: called in the thread if it hangs for longer.
        """
        self._silent_s = silent_s
        self._start_again = start_again
        self._turned = False
        self._resting = False
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def show_life(self) -> None:
        """Record a heartbeat; called by the event loop several times a second."""
        self._turned = True
        if self._thread.ident is None:
            self._thread.start()

    def rest(self) -> None:
        """Stop watching, because the service stops, and the shutdown has a time limit of its own."""
        self._resting = True

    def _watch(self) -> None:
        silent = 0
        while not self._resting:
            time.sleep(self._silent_s / LOOKS)
            silent = 0 if self._turned else silent + 1
            self._turned = False
            if silent >= LOOKS and not self._resting:
                where = _where_main_thread_is()
                logger.critical("the event loop stood still for %g s, in %s; started again", self._silent_s, where)
                self._start_again()
                return


def _where_main_thread_is() -> str:
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    return f"{frame.f_code.co_qualname}, line {frame.f_lineno}" if frame else "an unknown place"


def start_again(listener: socket.socket) -> None:
    """Restart this process with its original command line, on the same listener, after killing its children."""
    try:
        end_children()
        note_next_life()
        os.environ[HANDED_ON] = str(listener.fileno())
        listener.set_inheritable(True)
        logging.shutdown()
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - no shell
    except Exception:  # a process that hangs without a watchdog is worse than none
        os._exit(CANNOT_START)


def end_children() -> None:
    """Kill the running child processes and wait for them, where /proc lists them."""
    with contextlib.suppress(OSError):
        for task in Path("/proc/self/task").iterdir():
            for pid in map(int, (task / "children").read_text().split()):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                    _wait_for(pid)


def _wait_for(pid: int) -> None:
    """Reap a killed child, unless the kernel holds it (a dead network disk) for longer than `REAPING_S`.

    Raises:
        OSError: if it is no child.
    """
    end_s = time.monotonic() + REAPING_S
    while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < end_s:
        time.sleep(0.01)
