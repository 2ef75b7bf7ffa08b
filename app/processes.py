"""Names processes so that a later one can tell whether they still run, although the system uses their numbers again."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

BACKGROUND_NICENESS = 10

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_process() -> str:
    """Return the name of this process: machine start, number, and its own start."""
    return f"{_boot()}:{os.getpid()}:{_started(os.getpid())}"


def is_alive(name: str) -> bool:
    """Tell whether the process of this name still runs on this machine; a name in another form is nobody's."""
    boot, _, rest = name.partition(":")
    number, _, started = rest.partition(":")
    return boot == _boot() and number.isdigit() and started == _started(int(number))


def step_back() -> None:
    """Let the calling thread have the processor when no other thread of the service wants it, where that can be."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICENESS)


def _boot() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "unknown"  # not Linux


def _started(number: int) -> str:
    """Return when a process started, in clock ticks since the machine did; "gone" if there is none."""
    try:
        # the second field, the program's name in brackets, may hold anything
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        pass
    try:
        os.kill(number, 0)
    except OSError:
        return "gone"
    return "running"
