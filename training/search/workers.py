"""Further processes of a search on this machine; they share its study."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

ALONE = ("--only-search", "--workers", "1")  # of an option that is repeated, the last one counts
END_S = 10.0


@contextlib.contextmanager
def run_workers(count: int, command: Sequence[str]) -> Iterator[None]:
    """Run further processes of a training that only try settings, and end them with the context.

    One that dies takes nothing with it: the settings that it tried are drawn again once it has not been heard of for a
    while. What they say is not shown, except errors. If this process is killed, they go on to the end of the search.

    Args:
        count: number of processes.
        command: arguments of this training, after `python -m training`.
    """
    arguments = [sys.executable, "-m", "training", *command, *ALONE]
    processes = [subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
