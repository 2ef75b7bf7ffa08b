"""Processes of `python -m app` and `python -m training` that begin where their imports end.

The imports are nearly all that a start costs, two or three seconds of a core, and hundreds of tests start processes. So
one process makes them once and forks for each start. What is forked runs the program from its first line, with
arguments, environment, folder and streams of its own. Tests about the start of a process, its interpreter, its limits
or its memory start it anew.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import functools
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

PROJECT = Path(__file__).resolve().parent.parent
MAX_REQUEST_BYTES = 1 << 17
MODULES = {
    "app": ("server.run", "server.worker", "__main__"),
    "training": ("cli.commands", "cli.fit", "cli.measure", "config.default_recipe", "data.inspection", "pipeline"),
}
ENVIRONMENTS = {
    "app": {},
    "training": {  # what is read at the start; a service gives the same to its trainings
        "MPL_IGNORE_SYSTEM_FONTS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
    },
}
TRAINING = """
import json, os, signal, socket, sys

def number():
    return int.from_bytes(connection.recv(4), sys.byteorder, signed=True)

passed_on = (signal.SIGINT, signal.SIGTERM)
signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)  # until there is a process that can be sent them
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
    connection.connect({address!r})
    request = {{"arguments": sys.argv[1:], "cwd": os.getcwd(), "environment": dict(os.environ)}}
    socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
    training = number()
    for each in passed_on:
        signal.signal(each, lambda sent, _: os.kill(training, sent))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, passed_on)
    code = number()
if code < 0:  # the signal that ended it
    signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


class ForkedService(subprocess.Popen[bytes]):
    """`python -m app` in a forked process, with what tests use of `Popen`."""

    def __init__(self, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], output: IO[bytes]) -> None:
        """Start the service; its output and errors go to a file."""
        self.args, self.returncode = ["app", *arguments], None
        self.stdin = self.stdout = self.stderr = None
        request = {"arguments": list(arguments), "cwd": str(cwd), "environment": dict(environment)}
        self._connection, self._reading = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET), threading.Lock()
        # not when the process has ended, as other threads may wait for that
        weakref.finalize(self, self._connection.close)
        self._connection.connect(_preload("app"))
        with Path(os.devnull).open("rb") as nothing:
            streams = [nothing.fileno(), output.fileno(), output.fileno()]
            socket.send_fds(self._connection, [json.dumps(request).encode()], streams)
        self.pid = self._read()

    def _read(self) -> int:
        """Return the next number that the parent of the process tells: its id, then its exit code."""
        told = self._connection.recv(4)
        assert told, "the process that forks services has ended"
        return int.from_bytes(told, sys.byteorder, signed=True)

    def poll(self) -> int | None:
        """Return the exit code, if the process has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code when the process has ended; several threads may wait."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            with self._reading:
                if self.returncode is None:
                    self.returncode = self._read()
        return self.returncode


@functools.cache
def forked_trainings() -> Path:
    """Return a folder in which `python -m training` has a training forked, for a service that runs there.

    It is a small program that passes arguments, environment, streams and signals on and ends as the training does. Only
    limits of memory and niceness do not reach the training, and the service, which sees that the small program uses no
    processor, says after ten seconds that the training gets none: that notice is then the progress of the job.
    """
    folder = tempfile.TemporaryDirectory(prefix="tabserve-trainings-")
    atexit.register(folder.cleanup)
    package = Path(folder.name) / "training"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(TRAINING.format(address=_preload("training")))
    return Path(folder.name)


@functools.cache
def _preload(program: str) -> str:
    """Start the process that forks a program, and ends with this one, and return its address."""
    address = f"\0tabserve-{program}-{os.getpid()}"  # abstract: no file
    alive, ours = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen(64)
        numbers = (listener.fileno(), alive)
        command = [sys.executable, "-m", "tests.preloaded", program, *map(str, numbers)]
        environment = os.environ | ENVIRONMENTS[program]
        process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, pass_fds=numbers)
    os.close(alive)
    atexit.register(process.wait)
    atexit.register(os.close, ours)
    return address


def main(program: str, listening: int, alive: int) -> None:
    """Fork processes of a program as they are asked for, until nobody can ask any more."""
    for module in MODULES[program]:
        importlib.import_module(f"{program}.{module}")
    sys.modules.pop(f"{program}.__main__", None)  # else runpy warns, in the log of the program
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a person who stops the tests, which end this process
    with socket.socket(fileno=listening) as listener:
        while alive not in select.select([listening, alive], [], [])[0]:
            connection, _ = listener.accept()
            _reap()
            if not os.fork():
                break
            connection.close()
        else:
            _reap()
            return
    os.close(alive)
    request, streams, _, _ = socket.recv_fds(connection, MAX_REQUEST_BYTES, 3)
    if forked := os.fork():
        _watch(forked, connection, streams)
    connection.close()
    _become(program, streams, **json.loads(request))


def _reap() -> None:
    """Ask how those ended that watched, so that what their processes used counts as used by the tests."""
    with contextlib.suppress(ChildProcessError):  # there are none
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _watch(forked: int, connection: socket.socket, streams: list[int]) -> None:
    """Tell the id and the exit code of a process, which is killed when whoever asked for it has ended."""
    for stream in streams:
        os.close(stream)
    with contextlib.suppress(ConnectionError):  # whoever asked was killed meanwhile, which the next line sees, too
        connection.send(array.array("i", [forked]).tobytes())
    ended = os.pidfd_open(forked)
    if ended not in select.select([connection.fileno(), ended], [], [])[0]:
        os.kill(forked, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])
    try:
        connection.send(array.array("i", [code]).tobytes())
    finally:
        os._exit(0)


def _become(program: str, streams: list[int], arguments: list[str], cwd: str, environment: dict[str, str]) -> None:
    """Run the program in this process, as `python -m` does."""
    for standard, stream in enumerate(streams):
        os.dup2(stream, standard)
        os.close(stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path[0] = [program, *arguments], cwd
    sys.orig_argv = [sys.executable, "-m", *sys.argv]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
