"""Inspect a data file in a child process, so that no file can harm the service.

The child is `python -m training inspect FILE --json`, a command that people use as well. For the next small file, one
waits with all modules imported, so that such a file does not wait for the start of an interpreter; each child inspects
one file only. This module must not know the file format.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from app.datasets.errors import InvalidDataset
from app.datasets.store import SMALL_BYTES
from app.errors import StoreUnavailable
from app.jobs.process.commands import (
    confine,
    inspection_arguments,
    inspection_command,
    training_environment,
    waiting_command,
)
from app.settings import Settings
from modelstore import Dialect, Inspection

logger = logging.getLogger(__name__)

TIMEOUT_S = 1800.0
MAX_ANSWER_BYTES = 64 << 20
PIECE_BYTES = 1 << 16
MAX_COMPLAINT_BYTES = 1 << 14
COMPLAINTS_S = 1.0  # longest wait for standard error after the end of the child
FIRST_CHILD_S = 3.0  # from the start of the service to that of the child that waits: the start of the models goes first
NEXT_TRY_S = 60.0  # pause after a waiting child that ended by itself, such as for lack of memory


class Inspector:
    """Inspects data files in child processes."""

    def __init__(self, settings: Settings, timeout_s: float = TIMEOUT_S) -> None:
        self._confine = partial(confine, memory_bytes=settings.train_memory_bytes, niceness=settings.train_niceness)
        self._timeout_s = timeout_s
        self._waiting: _Child | None = None

    async def keep_ready(self, first_s: float = FIRST_CHILD_S) -> None:
        """Keep a child waiting for the next file, forever, the first after some seconds; `close` ends it."""
        await asyncio.sleep(first_s)
        while True:
            try:
                self._waiting = child = await _Child.start(self._confine(waiting_command()))
                await child.wait()
                if self._waiting is child:
                    logger.warning("the process that waits for data sets to check ended by itself")
                    await asyncio.sleep(NEXT_TRY_S)
            except OSError as error:
                logger.warning("no process can be started now that waits for data sets to check: %s", error)
                await asyncio.sleep(NEXT_TRY_S)

    async def close(self) -> None:
        """End the waiting child."""
        if child := self._take():
            await child.end()

    async def __call__(self, file: Path, dialect: Dialect) -> Inspection:
        """Return the columns of a file that is written in a dialect, or its faults.

        Raises:
            InvalidDataset: if the inspection takes too long, or its result is too large.
            StoreUnavailable: if no child can be started now, or the child failed; the log says why.
        """
        is_small = (await asyncio.to_thread(file.stat)).st_size <= SMALL_BYTES
        try:
            async with asyncio.timeout(self._timeout_s):
                told, child = inspection_arguments(file, dialect), self._take() if is_small else None
                if child is None:
                    told, child = [], await self._start(inspection_command(file, dialect))
                try:
                    code, said = await child.answer(told)
                finally:
                    await child.end()
        except TimeoutError as error:
            problem = f"cannot be checked within {self._timeout_s:g} seconds; send fewer rows or columns"
            raise InvalidDataset(f"the data set {problem}") from error
        if len(said) > MAX_ANSWER_BYTES:
            raise InvalidDataset("the data set has too many columns and classes to be described; send fewer columns")
        try:
            return Inspection.model_validate_json(said)
        except ValidationError as error:
            logger.error("the check of a data set ended with exit code %s and no result", code)
            raise StoreUnavailable("the data set could not be checked; the log has the reason") from error

    async def _start(self, command: list[str]) -> _Child:
        """Start a child for one file.

        Raises:
            StoreUnavailable: if the system cannot start a process now.
        """
        try:
            return await _Child.start(self._confine(command))
        except OSError as error:
            logger.warning("no process can be started now that checks a data set: %s", error)
            raise StoreUnavailable("no process can be started now that checks the data set; send it again") from error

    def _take(self) -> _Child | None:
        """Return the waiting child, if there is one that runs."""
        child, self._waiting = self._waiting, None
        return child if child and child.runs else None


class _Child:
    """A process that inspects one file, in a session of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process, self._stdin, self._stdout = process, process.stdin, process.stdout
        self._complaining = asyncio.create_task(_log(process.stderr), name="complaints of a check")

    @classmethod
    async def start(cls, command: Sequence[str]) -> Self:
        """Start a child.

        Raises:
            OSError: if the system cannot start a process now.
        """
        return cls(
            await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=training_environment(),
                start_new_session=True,
            )
        )

    @property
    def runs(self) -> bool:
        """Whether the process has not ended, which the event loop hears of a little later."""
        if self._process.returncode is not None:
            return False
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    async def wait(self) -> None:
        """Wait until the process has ended."""
        await self._process.wait()

    async def answer(self, arguments: Sequence[str]) -> tuple[int | None, bytes]:
        """Send the arguments if the child waits for any, and return exit code and standard output.

        Both are incomplete if the output is too large.
        """
        with contextlib.suppress(ConnectionError):  # it has ended; the exit code says so
            self._stdin.write(json.dumps(arguments).encode() + b"\n" if arguments else b"")
            await self._stdin.drain()
        self._stdin.close()
        said = bytearray()
        while len(said) <= MAX_ANSWER_BYTES and (piece := await self._stdout.read(PIECE_BYTES)):
            said += piece
        return None if len(said) > MAX_ANSWER_BYTES else await self._process.wait(), bytes(said)

    async def end(self) -> None:
        """Kill the process if it runs; it has ended when this returns."""
        if self.runs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            while await self._stdout.read(PIECE_BYTES):  # a full pipe would delay its end
                pass
            await self._process.wait()
        await asyncio.wait((self._complaining,), timeout=COMPLAINTS_S)
        self._complaining.cancel()


async def _log(complaints: asyncio.StreamReader) -> None:
    """Log the standard error of a child, up to `MAX_COMPLAINT_BYTES`."""
    said = b""
    while piece := await complaints.read(PIECE_BYTES):
        said = (said + piece)[:MAX_COMPLAINT_BYTES]
    for line in said.decode("utf-8", "replace").splitlines():
        logger.warning("the check of a data set: %s", line)
