"""Names for processes that stay unique although the system reuses process ids.

A later process can tell from such a name whether the process still runs.
"""

from __future__ import annotations

import os
from pathlib import Path

_LIVES = "TABSERVE_LIVES"  # environment variable: how often this process replaced its program by exec
_UNKNOWN = "unknown"
_ENDED = ("Z", "X")  # process states: ended, but not yet reaped by the parent
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_process() -> str:
    """Return the name of this process: boot id, pid namespace, pid, start time and number of execs."""
    return f"{_boot()}:{_namespace()}:{os.getpid()}:{_read_start(os.getpid())}:{_life()}"


def note_next_life() -> None:
    """Give the program that is about to replace this one in the same process a different name."""
    os.environ[_LIVES] = str(_life() + 1)


def is_provably_dead(name: str) -> bool:
    """Return whether the process of this name has certainly ended.

    This can be determined only for processes of this container, since the last boot of this machine; for others the
    result is False.
    """
    boot, _, rest = name.partition(":")
    namespace, _, rest = rest.partition(":")
    number, _, rest = rest.partition(":")
    started, _, life = rest.partition(":")
    if boot == _UNKNOWN or (boot, namespace) != (_boot(), _namespace()) or not number.isdigit():
        return False
    if number == str(os.getpid()) and life != str(_life()):
        return True  # this process has replaced its program since then, which keeps the start time
    return started != _read_start(int(number))


def _life() -> int:
    return int(os.environ.get(_LIVES, "0"))


def _boot() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return _UNKNOWN  # not Linux


def _namespace() -> str:
    """Return the pid namespace: a pid means the same process only within it."""
    try:
        return Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        return _UNKNOWN


def _read_start(number: int) -> str:
    """Return when a process started, in clock ticks since boot; "gone" if no such process runs."""
    fields = read_stat(number)
    return "gone" if not fields or fields[0] in _ENDED else fields[19]


def read_stat(number: int) -> list[str]:
    """Return the fields of proc(5) behind the name of a process; none if it has ended, or the system does not tell."""
    try:
        # the second field, the program's name in parentheses, may contain any characters
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
