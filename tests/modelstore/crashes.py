"""Kill a publisher at each of its steps.

Run `python -m tests.modelstore.crashes <how> <scenario> <template> <folder>`.

Each attempt is a forked child with its own copy of the template store, `<folder>/<n>`, killed by SIGKILL just before
the n-th thing that it does to the disk. What is counted depends on `how`: `operations` counts what Python reports to
audit hooks (and fsync, which it does not report); `syscalls` lets strace count system calls that change something,
single writes included; `every_syscall` counts all that have to do with files. For every attempt one line goes to
standard output: `<n> <where it was killed, or "completed">`.

One process forks all children, so each costs milliseconds; it has no threads, so forking is safe.
"""

from __future__ import annotations

import collections
import functools
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelstore import ModelRepository
from tests.modelstore.samples import MODEL, publish_sample, sample_manifest

TRAINING_ATTACHES = ("boundary.png", "confusion.png", "history.jsonl", "loss.png", "predictions.csv")


def publish_all(repository: ModelRepository) -> None:
    """Publish the sample with as many attachments as a training does."""
    repository.publish(sample_manifest(), MODEL, dict.fromkeys(TRAINING_ATTACHES, b"a plot"))


SCENARIOS: dict[str, Callable[[ModelRepository], object]] = {
    "publish": publish_sample,
    "publish_all": publish_all,
    "activate": lambda repository: repository.activate("petals", 2),
    "remove": lambda repository: repository.remove("petals", 2),
}
OPERATIONS = {"open", "os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.chmod", "os.scandir", "fcntl.flock"}
SYSCALLS = (
    "openat,write,fsync,flock,?mkdir,?mkdirat,?rename,?renameat,?renameat2,?unlink,?unlinkat,?rmdir,?chmod,?fchmodat"
)
EVERY_SYSCALL = "%file,%desc"
NOT_PERMITTED = 77


def kill_at_operations(act: Callable[[ModelRepository], object], template: Path, folder: Path) -> None:
    """Kill before the 1st, 2nd, ... operation, until an attempt gets to its end."""
    for n in itertools.count(1):
        root = fresh_copy(template, folder / str(n))
        child = os.fork()
        if child == 0:
            log = os.open(folder / f"{n}.log", os.O_WRONLY | os.O_CREAT)
            die_before_operation(n, log)
            run_and_leave(act, root)
        completed = wait_for(child)
        steps = (folder / f"{n}.log").read_text().splitlines()
        say(n, "completed" if completed else steps[-1])
        if completed:
            return


def die_before_operation(n: int, log: int) -> None:
    """Write each operation of this process down, and kill it instead of letting it do the n-th."""
    numbers = itertools.count(1)

    def count(event: str, target: object) -> None:
        os.write(log, f"{event} {target}\n".encode())
        if next(numbers) == n:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in OPERATIONS:
            count(event, " -> ".join(str(argument) for argument in arguments[: 2 if event == "os.rename" else 1]))

    def counted_fsync(fd: Any, real: Callable[[Any], None] = os.fsync) -> None:
        count("fsync", Path(f"/proc/self/fd/{fd}").readlink())
        real(fd)

    os.fsync = counted_fsync
    sys.addaudithook(hook)


def kill_at_syscalls(
    act: Callable[[ModelRepository], object], template: Path, folder: Path, calls: str = SYSCALLS
) -> None:
    """Let strace write one whole attempt down, then kill at every system call that it made."""
    trace(act, fresh_copy(template, folder / "0"), ["-o", str(folder / "trace"), "-e", f"trace={calls}"])
    say(0, "completed")
    made = collections.Counter(re.findall(r"^(?:\d+ +)?(\w+)\(", (folder / "trace").read_text(), re.MULTILINE))
    points = [(name, when) for name, times in sorted(made.items()) for when in range(1, times + 1)]
    for n, (name, when) in enumerate(points, start=1):
        inject = f"inject={name}:signal=SIGKILL:when={when}"
        killed = not trace(act, fresh_copy(template, folder / str(n)), ["-o", os.devnull, "-e", inject])
        say(n, f"{name} {when}" if killed else "completed")


def trace(act: Callable[[ModelRepository], object], root: Path, options: list[str]) -> bool:
    """Run one attempt under strace; return whether it got to its end."""
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGSTOP)  # until strace is there
        run_and_leave(act, root)
    os.waitpid(child, os.WUNTRACED)
    with subprocess.Popen(["strace", "-f", *options, "-p", str(child)], stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        attached = "attached" in strace.stderr.readline()
        os.kill(child, signal.SIGCONT if attached else signal.SIGKILL)
        completed = wait_for(child)
    if not attached:
        sys.exit(NOT_PERMITTED)
    return completed


def fresh_copy(template: Path, root: Path) -> Path:
    """Copy the template store."""
    return Path(shutil.copytree(template, root))


def run_and_leave(act: Callable[[ModelRepository], object], root: Path) -> None:
    """Do the work in a forked child; never return, whatever happens."""
    status = 1
    try:
        act(ModelRepository(root))
        status = 0
    finally:
        os._exit(status)


def wait_for(child: int) -> bool:
    """Return True if the child completed, False if it was killed; anything else is a fault of the test."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the publisher ended with status {status}")
    return status == 0


def say(n: int, where: str) -> None:
    """Report one attempt."""
    sys.stdout.write(f"{n} {where}\n")


if __name__ == "__main__":
    ways: dict[str, Callable[[Callable[[ModelRepository], object], Path, Path], None]] = {
        "operations": kill_at_operations,
        "syscalls": kill_at_syscalls,
        "every_syscall": functools.partial(kill_at_syscalls, calls=EVERY_SYSCALL),
    }
    kill = ways[sys.argv[1]]
    kill(SCENARIOS[sys.argv[2]], Path(sys.argv[3]), Path(sys.argv[4]))
