"""Names processes so that a later one can tell whether they still run, although the system uses their numbers again."""

from __future__ import annotations

import os
from pathlib import Path

_LIVES = "TABSERVE_LIVES"  # variable: how often the program of this process was started again in its place
_UNKNOWN = "unknown"
_ENDED = ("Z", "X")  # ended, but its parent has not asked how
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_process() -> str:
    """Return the name of this process: machine start, namespace of numbers, number, its own start and life."""
    return f"{_boot()}:{_namespace()}:{os.getpid()}:{_started(os.getpid())}:{_life()}"


def note_next_life() -> None:
    """Let the program that is going to replace this one in this process have another name."""
    os.environ[_LIVES] = str(_life() + 1)


def is_provably_dead(name: str) -> bool:
    """Tell whether the process of this name certainly runs no more.

    That can be said of a process of this machine, since its last start, and of this container; of others, never.
    """
    boot, _, rest = name.partition(":")
    namespace, _, rest = rest.partition(":")
    number, _, rest = rest.partition(":")
    started, _, life = rest.partition(":")
    if boot == _UNKNOWN or (boot, namespace) != (_boot(), _namespace()) or not number.isdigit():
        return False
    if number == str(os.getpid()) and life != str(_life()):
        return True  # this process was started again in its place, with the same start
    return started != _started(int(number))


def _life() -> int:
    return int(os.environ.get(_LIVES, "0"))


def _boot() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return _UNKNOWN  # not Linux


def _namespace() -> str:
    """Return what two processes share if a number means the same process to both, in a container or outside."""
    try:
        return Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        return _UNKNOWN


def _started(number: int) -> str:
    """Return when a process started, in clock ticks since the machine did; "gone" if there is none that runs."""
    try:
        # the second field, the program's name in brackets, may hold anything
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "gone"
    return "gone" if fields[0] in _ENDED else fields[19]
