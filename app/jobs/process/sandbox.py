"""Starts a command that cannot hurt the service: niced, limited, gone when its parent is; stand-alone, and run by path.

    python -I -S app/jobs/process/sandbox.py --memory BYTES --parent PID -- COMMAND...

It replaces itself by the command, so the process that the parent started is the command. It must not import anything
that takes time, and nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

NICENESS = 19
BEFORE_OTHERS = 500  # oom_score_adj: short of memory, the kernel takes this process before the service
CANNOT_START = 127
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Limit this process and become the command; exits with 127 if that cannot be."""
    divider = arguments.index("--")
    options = dict(zip(arguments[:divider:2], arguments[1:divider:2], strict=True))
    command = arguments[divider + 1 :]
    _die_with(int(options["--parent"]))
    _limit(int(options["--memory"]))
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell: the command is a list
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started: {error.strerror}")


def _die_with(parent: int) -> None:
    """Let the kernel kill this process with its parent, whatever it computes then; survives the change of program."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel knew
        sys.exit(CANNOT_START)


def _limit(memory_bytes: int) -> None:
    """Take the limits; where the system has one of them not, the others still hold."""
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        # a session of its own is a scheduling group of its own, in which niceness counts for nothing outside
        Path("/proc/self/autogroup").write_text(str(NICENESS))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(BEFORE_OTHERS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # data, not address space: torch maps far more than it ever touches; private writable memory is what costs
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


if __name__ == "__main__":
    main(sys.argv[1:])
