"""Processes of `python -m app` that begin where its imports end.

The imports are nearly all that a start costs, some two seconds of a core, and a hundred tests start a service. So one
process makes them once and forks for each service. What is forked runs the program from its first line, with arguments,
environment, folder and log of its own. Tests about the start of a process, its interpreter or its memory start it anew.
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
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

PROJECT = Path(__file__).resolve().parent.parent
MAX_REQUEST_BYTES = 1 << 17
PRELOADED = ("app.server.run", "app.server.worker", "app.__main__")


class ForkedService(subprocess.Popen[bytes]):
    """`python -m app` in a forked process, with what tests use of `Popen`."""

    def __init__(self, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], output: IO[bytes]) -> None:
        """Start the service; its output and errors go to a file."""
        self.args, self.returncode = ["app", *arguments], None
        self.stdin = self.stdout = self.stderr = None
        read, write = os.pipe()
        request = json.dumps({"arguments": self.args, "cwd": str(cwd), "environment": dict(environment)}).encode()
        try:
            socket.send_fds(_preloaded(), [request], [output.fileno(), write])
        finally:
            os.close(write)
        self._told, self._reading = read, threading.Lock()
        weakref.finalize(self, os.close, read)  # not at the end of the process, when another thread may wait for it
        self.pid = self._read()

    def _read(self) -> int:
        """Return the next number that the parent of the process tells: its id, then its exit code."""
        told = os.read(self._told, 4)
        assert told, "the process that forks services has ended"
        return int.from_bytes(told, sys.byteorder, signed=True)

    def poll(self) -> int | None:
        """Return the exit code, if the process has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code when the process has ended."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            with self._reading:
                if self.returncode is None:
                    self.returncode = self._read()
        return self.returncode


@functools.cache
def _preloaded() -> socket.socket:
    """Start the process that forks, which ends with this one, and return the socket that it takes requests from."""
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.preloaded", str(its.fileno())]
    process = subprocess.Popen(command, cwd=PROJECT, pass_fds=[its.fileno()])
    its.close()
    atexit.register(process.wait)
    atexit.register(mine.close)
    return mine


def main(descriptor: int) -> None:
    """Fork services as they are asked for, until nobody can ask any more."""
    for module in PRELOADED:
        importlib.import_module(module)
    with socket.socket(fileno=descriptor) as requests:
        while True:
            request, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 2)
            with contextlib.suppress(ChildProcessError):  # there are none
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if not request:
                return
            if not os.fork():
                break
            for received in descriptors:
                os.close(received)
    output, told = descriptors
    if service := os.fork():
        _tell(told, service)
        _tell(told, os.waitstatus_to_exitcode(os.waitpid(service, 0)[1]))
        os._exit(0)
    os.close(told)
    _become(output, **json.loads(request))


def _tell(pipe: int, number: int) -> None:
    os.write(pipe, array.array("i", [number]).tobytes())


def _become(output: int, arguments: list[str], cwd: str, environment: dict[str, str]) -> None:
    """Run the service in this process, as `python -m app` does."""
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path[0] = arguments, cwd
    sys.orig_argv = [sys.executable, "-m", *arguments]
    del sys.modules["app.__main__"]  # runpy warns of a module that is there before it runs
    runpy.run_module("app", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
