"""Trainings of a service that begin where the imports of `python -m training` end.

The imports are three seconds of a core, more than most trainings of tests. In the folder `forked_trainings()`, where a
service may run, `python -m training` is a small program that gives its arguments, environment and streams to a process
that has made them once and forks for each training. What is forked is the real training from its first line, and it
ends with the small program; only limits of memory and niceness do not reach it. Tests about the process of a training
start it as it is.
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
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
MAX_REQUEST_BYTES = 1 << 17
PRELOADED = ("cli.commands", "cli.fit", "cli.measure", "config.default_recipe", "data.inspection", "pipeline")
ENVIRONMENT = {  # what is read at the start; a service gives the same to its trainings
    "MPL_IGNORE_SYSTEM_FONTS": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
}
PROGRAM = """
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


@functools.cache
def forked_trainings() -> Path:
    """Return the folder, after the start of the process that forks, which ends with this one."""
    folder = tempfile.TemporaryDirectory(prefix="tabserve-trainings-")
    atexit.register(folder.cleanup)
    address = f"\0{folder.name}"  # abstract: no file
    package = Path(folder.name) / "training"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PROGRAM.format(address=address))
    alive, ours = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen(64)
        numbers = (listener.fileno(), alive)
        command = [sys.executable, "-m", "tests.forked_trainings", *map(str, numbers)]
        process = subprocess.Popen(
            command, cwd=PROJECT, env=os.environ | ENVIRONMENT, stdin=subprocess.DEVNULL, pass_fds=numbers
        )
    os.close(alive)
    atexit.register(process.wait)
    atexit.register(os.close, ours)
    return Path(folder.name)


def main(listening: int, alive: int) -> None:
    """Fork trainings as they are asked for, until nobody can ask any more."""
    for module in PRELOADED:
        importlib.import_module(f"training.{module}")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a person who stops the tests, which end this process
    with socket.socket(fileno=listening) as listener:
        while alive not in select.select([listening, alive], [], [])[0]:
            connection, _ = listener.accept()
            _reap(os.WNOHANG)
            if not os.fork():
                break
            connection.close()
        else:
            _reap(0)
            return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    request, streams, _, _ = socket.recv_fds(connection, MAX_REQUEST_BYTES, 3)
    if training := os.fork():
        _watch(training, connection, streams, alive)
    connection.close()
    os.close(alive)
    _become(streams, **json.loads(request))


def _reap(options: int) -> None:
    """Ask how those ended that watched trainings, so that what they used counts as used by the tests."""
    with contextlib.suppress(ChildProcessError):  # there are none
        while os.waitpid(-1, options)[0]:
            pass


def _watch(training: int, connection: socket.socket, streams: list[int], alive: int) -> None:
    """Tell the small program the id and the exit code of a training, which is killed if that or the tests end first."""
    for stream in streams:
        os.close(stream)
    connection.send(array.array("i", [training]).tobytes())
    ended = os.pidfd_open(training)
    if ended not in select.select([connection.fileno(), alive, ended], [], [])[0]:
        os.kill(training, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(training, 0)[1])
    try:
        connection.send(array.array("i", [code]).tobytes())
    finally:
        os._exit(0)


def _become(streams: list[int], arguments: list[str], cwd: str, environment: dict[str, str]) -> None:
    """Run the training in this process, as `python -m training` does."""
    for standard, stream in enumerate(streams):
        os.dup2(stream, standard)
    for stream in streams:
        os.close(stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["training", *arguments]
    runpy.run_module("training", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
