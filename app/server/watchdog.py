"""Starts a service of one process again when its event loop stands still: same number, same listener.

Several workers have a launcher for that (`supervisor.py`). A thread can do it for one, since programs of torch run
without the interpreter's lock, and Python's own loops hand it on.
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

LOOKS = 30  # of the thread while the event loop may stand still; its own count, so a machine that slept is no matter
CANNOT_START = 1


class Watchdog:
    """Looks whether the event loop turns, from its first sign of life until it is told to rest."""

    def __init__(self, silent_s: float, start_again: Callable[[], None]) -> None:
        """Store the parts.

        Args:
            silent_s: how long the event loop may stand still.
            start_again: called in a thread if it stands still for longer.
        """
        self._silent_s = silent_s
        self._start_again = start_again
        self._turned = False
        self._resting = False
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def show_life(self) -> None:
        """Say that the event loop turns; called by it, several times a second."""
        self._turned = True
        if self._thread.ident is None:
            self._thread.start()

    def rest(self) -> None:
        """Look no more: the service was told to stop, and what takes long then has a time limit of its own."""
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
    """Replace this process by what it was at its start, on the same listener; what it started ends as at a crash."""
    end_children()
    note_next_life()
    os.environ[HANDED_ON] = str(listener.fileno())
    listener.set_inheritable(True)
    try:
        logging.shutdown()
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - no shell
    except OSError:
        os._exit(CANNOT_START)


def end_children() -> None:
    """Kill what this process started and what still runs, and wait for it, where the system says what that is."""
    with contextlib.suppress(OSError):
        for task in Path("/proc/self/task").iterdir():
            for pid in map(int, (task / "children").read_text().split()):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
