"""Load a model on trial in a child process with limits, where a crash does no harm.

The process that makes these attempts is forked from the service after torch is imported and before any thread starts;
forking is not safe after that. So an attempt costs only milliseconds more than loading, not an import of torch. This
module must not know torch, the store or HTTP.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from io import BufferedRWPair
from typing import NamedTuple, NoReturn

from app.runtime.errors import VersionRefused
from modelstore import Manifest

DEADLINE_S = 20.0
MEMORY_BYTES = 2 << 30
MAX_OPEN_FILES = 64

Attempt = Callable[[Manifest, int, bytes, str], None]
"""Loads the named file of a version as the service would, on the CPU; raises VersionRefused."""


class _Asked(NamedTuple):
    manifest: Manifest
    version: int
    model: bytes
    file: str


_LENGTH = struct.Struct("<Q")
_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000


class TrialProcess:
    """The service's handle of the process that makes the attempts; use it from one thread at a time."""

    def __init__(self, stream: BufferedRWPair, pid: int) -> None:
        self._stream = stream
        self.pid = pid

    @classmethod
    def fork(cls, attempt: Attempt) -> TrialProcess:
        """Start the process; call this before any thread starts."""
        ours, theirs = socket.socketpair()
        service, pid = os.getpid(), os.fork()
        if pid == 0:
            _attend(theirs, attempt, service)
        theirs.close()
        with ours:
            return cls(ours.makefile("rwb"), pid)

    def __call__(self, manifest: Manifest, version: int, model: bytes, file: str) -> None:
        """Load the file in that process; return normally if it is accepted.

        Raises:
            VersionRefused: with the attempt's reason, or `trial_crashed`, `trial_timed_out`, `trial_unavailable`.
        """
        try:
            for part in (str(version).encode(), manifest.to_json(), model, file.encode()):
                _write(self._stream, part)
            self._stream.flush()
            answer = _read(self._stream)
        except OSError:
            answer = None
        if answer is None:
            refused = ("trial_unavailable", "the process that tries new versions is gone; restart the service")
        elif not answer:
            return
        else:
            reason, detail = json.loads(answer)
            refused = (reason, detail)
        raise VersionRefused(manifest.name, version, *refused)

    def close(self) -> None:
        """Stop the process and wait for its exit."""
        with contextlib.suppress(OSError):
            self._stream.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _attend(connection: socket.socket, attempt: Attempt, service: int) -> NoReturn:
    """Serve attempts until the service closes the connection; never return into the forked program."""
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(
                number, signal.SIG_IGN
            )  # signals to the process group are for the service, which closes the connection
        _die_with(service)
        kept = connection.fileno()
        os.closerange(3, kept)  # listeners and connections of the service
        os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
        stream = connection.makefile("rwb")
        while (version := _read(stream)) is not None:
            manifest, model, file = _read(stream), _read(stream), _read(stream)
            if manifest is None or model is None or file is None:
                break
            asked = _Asked(Manifest.from_json(manifest), int(version), model, file.decode())
            _write(stream, _try_load(attempt, asked))
            stream.flush()
        code = 0
    finally:
        os._exit(code)


def _try_load(attempt: Attempt, asked: _Asked) -> bytes:
    """Run an attempt in a new child process; return empty bytes for success, else reason and detail as JSON."""
    try:
        pid, reader = _start(attempt, asked)
    except OSError as error:  # this process must live on, for the next version
        why = f"no process could be started that tries it ({error.strerror}); activate it again"
        return _refusal("trial_unavailable", why)
    said, in_time = _heard(reader)
    os.close(reader)
    if not in_time:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not in_time:
        return _refusal("trial_timed_out", f"it was not loaded and proved within {DEADLINE_S:g} s")
    if os.WIFSIGNALED(status) or not said.endswith(b"\n"):
        how = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "no word"
        return _refusal("trial_crashed", f"the process that tried to load it ended with {how}")
    return said[:-1]


def _start(attempt: Attempt, asked: _Asked) -> tuple[int, int]:
    """Start an attempt in a new child process; return its id, and the descriptor of what it says.

    Raises:
        OSError: if the system cannot start a process now.
    """
    reader, writer = os.pipe()
    try:
        attender, pid = os.getpid(), os.fork()
        if pid == 0:
            _try(attempt, asked, writer, attender)
        return pid, reader
    except OSError:
        os.close(reader)
        raise
    finally:
        os.close(writer)


def _try(attempt: Attempt, asked: _Asked, writer: int, attender: int) -> NoReturn:
    """Make one attempt with as few rights as possible; never return."""
    try:
        _die_with(attender)
        _limit()
        try:
            attempt(*asked)
            said = b""
        except VersionRefused as refused:
            said = _refusal(refused.reason, refused.detail)
        os.write(writer, said + b"\n")
    finally:
        os._exit(0)


def _heard(reader: int) -> tuple[bytes, bool]:
    """Read until the other end closes; return the bytes, and whether it closed before the deadline."""
    said, deadline = b"", time.monotonic() + DEADLINE_S
    while (left := deadline - time.monotonic()) > 0:
        if select.select([reader], [], [], left)[0]:
            part = os.read(reader, 1 << 16)
            if not part:
                return said, True
            said += part
    return said, False


def _limit() -> None:
    """Drop resources and rights that an attempt does not need, as far as the system supports it."""
    pages = int(open("/proc/self/statm").read().split()[5]) if sys.platform == "linux" else 0  # noqa: SIM115, PTH123
    memory = pages * resource.getpagesize() + MEMORY_BYTES  # the service's data pages count, although shared
    limits = {
        resource.RLIMIT_DATA: memory,
        resource.RLIMIT_CPU: int(DEADLINE_S),
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: MAX_OPEN_FILES,
    }
    for which, most in limits.items():
        with contextlib.suppress(ValueError, OSError):  # a lower hard limit serves as well
            resource.setrlimit(which, (most, most))
    if sys.platform == "linux":
        # a network namespace without interfaces; containers may forbid this, but have their own rules
        ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    with contextlib.suppress(OSError):
        os.nice(10)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # the parent died before prctl took effect
        os._exit(1)


def _refusal(reason: str, detail: str) -> bytes:
    return json.dumps([reason, detail]).encode()


def _write(stream: BufferedRWPair, part: bytes) -> None:
    stream.write(_LENGTH.pack(len(part)))
    stream.write(part)


def _read(stream: BufferedRWPair) -> bytes | None:
    """Return the next part, or None if the other side has closed the connection."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    part = stream.read(length)
    return part if len(part) == length else None
