"""Start a confined process, read its output, and end it with all its descendants.

This module must not know jobs or tables.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable
from pathlib import Path

LINE_LIMIT_BYTES = 1 << 20
LINES_A_TURN = 8  # training a small network prints thousands of lines per second
LOG_LINES = 20
LOG_LINE_CHARACTERS = 500
_BOXES = dict.fromkeys(range(0x2500, 0x2580), " ")  # box-drawing characters of tables and frames
KERNEL_COUNTS = Path("/proc/vmstat")
# messages with which the libraries of a training report a failed memory allocation
_NO_MEMORY = (
    "MemoryError",
    "std::bad_alloc",
    "can't allocate memory",
    "Cannot allocate memory",
    "Unable to allocate",
    "allocation still failed",
    "DefaultCPUAllocator",
    "failed to map segment",
)


class Child:
    """A child process in a session of its own.

    Attributes:
        log: the last lines of its standard error.
    """

    def __init__(self, process: asyncio.subprocess.Process, say: Callable[[str], None]) -> None:
        """Wrap a process with pipes for standard output and error; `say` gets every line of standard error."""
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self._process = process
        self._say = say
        self._killed = False
        self._kills_before = _kills_for_memory()

    @classmethod
    async def start(
        cls, command: list[str], environment: dict[str, str], say: Callable[[str], None], told: bytes = b""
    ) -> Child:
        """Start a command with this environment only; `say` gets each line of standard error, `told` is standard input.

        Raises:
            OSError: if the system cannot start a process now.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE if told else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            limit=LINE_LIMIT_BYTES,
            start_new_session=True,
        )
        if process.stdin is not None:
            process.stdin.write(told)
            process.stdin.close()
        return cls(process, say)

    async def listen(self, hear: Callable[[bytes], None]) -> None:
        """Read standard output, line by line, and standard error until both are closed.

        Raises:
            ValueError: if a line is longer than `LINE_LIMIT_BYTES`.
        """
        assert self._process.stdout is not None
        log = asyncio.create_task(self._keep_log())
        try:
            heard = 0
            async for line in self._process.stdout:  # does not yield to other tasks while there are lines
                hear(line)
                heard += 1
                if heard % LINES_A_TURN == 0:
                    await asyncio.sleep(0)
            await log
        finally:
            log.cancel()

    async def _keep_log(self) -> None:
        """Keep the last lines of standard error, cut to a maximum length, so that endless output does no harm."""
        assert self._process.stderr is not None
        rest = b""
        while chunk := await self._process.stderr.read(1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in (*lines, rest) if len(rest) > LINE_LIMIT_BYTES else lines:
                self._note(line)
            rest = b"" if len(rest) > LINE_LIMIT_BYTES else rest
        if rest:
            self._note(rest)

    def _note(self, line: bytes) -> None:
        if text := plain(line).replace("\x00", "")[:LOG_LINE_CHARACTERS]:
            self.log.append(text)
            self._say(text)

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process itself has ended; its descendants may still run."""
        return self._process.returncode is not None

    def interrupt(self) -> None:
        """Ask the process itself to finish early (SIGINT), as Ctrl-C does."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)

    def terminate(self) -> None:
        """Ask the process and its descendants to end (SIGTERM)."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process and its descendants (SIGKILL)."""
        self._killed |= not self.has_ended
        self._signal(signal.SIGKILL)

    async def end(self, grace_s: float) -> None:
        """Wait up to `grace_s` for the process to end, then kill it and its remaining descendants."""
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), grace_s)
        finally:
            self.kill()
            await self._process.wait()

    def last_words(self) -> str:
        """Describe how the process ended, for people."""
        code = self._process.returncode
        assert code is not None
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def ran_out_of_memory(self) -> bool:
        """Return whether the process ran out of memory: it reported so, or the kernel killed it."""
        if any(words in line for line in self.log for words in _NO_MEMORY):
            return True
        by_kernel = self._process.returncode == -signal.SIGKILL and not self._killed
        return by_kernel and _kills_for_memory() > self._kills_before

    def _signal(self, number: signal.Signals) -> None:
        """Signal the process group, whose id is that of the process even after it has ended."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def plain(line: bytes) -> str:
    """Return a line of a program's output as text for a log, without box-drawing characters, which JSON escapes."""
    text = line.decode("utf-8", "replace")
    drawn = text.translate(_BOXES)
    return drawn.strip() if drawn != text else text.rstrip()


def _kills_for_memory() -> int:
    """Return the number of processes that the kernel has killed for lack of memory, in all containers."""
    try:
        counts = dict(line.split() for line in KERNEL_COUNTS.read_text().splitlines())
    except OSError:
        return 0
    return int(counts.get("oom_kill", 0))
