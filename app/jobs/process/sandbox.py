"""Run a command niced, with limited memory, and killed with its parent.

    python -I -S app/jobs/process/sandbox.py --memory BYTES --niceness N --parent PID -- COMMAND...

This script replaces itself by the command, so the process that the parent started is the command. It is run by path
and must import only modules of the standard library that import quickly.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

BEFORE_OTHERS = 500  # oom_score_adj: when memory runs out, the kernel kills this process before the service
CANNOT_START = 127
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Apply the limits to this process and execute the command.

    The process exits with 127 if the parent has died, and with 1 if the command cannot be started.
    """
    divider = arguments.index("--")
    options = dict(zip(arguments[:divider:2], arguments[1:divider:2], strict=True))
    command = arguments[divider + 1 :]
    _die_with(int(options["--parent"]))
    _limit(int(options["--memory"]), int(options["--niceness"]))
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell: the command is a list
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started: {error.strerror}")


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; this stays in effect after exec."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the call above
        sys.exit(CANNOT_START)


def _limit(memory_bytes: int, niceness: int) -> None:
    """Apply the limits; one that the system does not support is skipped."""
    os.nice(niceness)
    with contextlib.suppress(OSError):
        # a session is a scheduling group of its own, outside of which the niceness of its processes has no effect
        Path("/proc/self/autogroup").write_text(str(niceness))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(BEFORE_OTHERS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # data, not address space: torch maps far more than it ever uses; only private writable memory costs
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


if __name__ == "__main__":
    main(sys.argv[1:])
