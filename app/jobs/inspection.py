"""Inspect a data file in a child process, so that no file can harm the service.

The child is `python -m training inspect FILE --json`, a command that people use as well. This module must not know the
file format.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from app.datasets.errors import InvalidDataset
from app.errors import StoreUnavailable
from app.jobs.process.commands import confine, inspection_command, training_environment
from app.settings import Settings
from modelstore import Inspection

logger = logging.getLogger(__name__)

TIMEOUT_S = 1800.0
MAX_ANSWER_BYTES = 64 << 20
PIECE_BYTES = 1 << 16
MAX_COMPLAINT_BYTES = 1 << 14
COMPLAINTS_S = 1.0  # longest wait for standard error after the end of the child


class Inspector:
    """Inspects data files in child processes."""

    def __init__(self, settings: Settings, timeout_s: float = TIMEOUT_S) -> None:
        self._memory_bytes = settings.train_memory_bytes
        self._niceness = settings.train_niceness
        self._timeout_s = timeout_s

    async def __call__(self, file: Path) -> Inspection:
        """Return the columns of a file, or its faults.

        Raises:
            InvalidDataset: if the inspection takes too long, or its result is too large.
            StoreUnavailable: if the child failed; the log says why.
        """
        command = confine(inspection_command(file), self._memory_bytes, self._niceness)
        try:
            async with asyncio.timeout(self._timeout_s):
                code, said = await _run(command)
        except TimeoutError as error:
            problem = f"cannot be checked within {self._timeout_s:g} seconds; send fewer rows or columns"
            raise InvalidDataset(f"the data set {problem}") from error
        if len(said) > MAX_ANSWER_BYTES:
            raise InvalidDataset("the data set has too many columns and classes to be described; send fewer columns")
        try:
            return Inspection.model_validate_json(said)
        except ValidationError as error:
            logger.error("the check of a data set ended with exit code %d and no result", code)
            raise StoreUnavailable("the data set could not be checked; the log has the reason") from error


async def _run(command: Sequence[str]) -> tuple[int, bytes]:
    """Return exit code and standard output of a command; its process has ended when this returns or raises."""
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=training_environment(),
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    complaining = asyncio.create_task(_log(child.stderr), name="complaints of a check")
    try:
        said = bytearray()
        while len(said) <= MAX_ANSWER_BYTES and (piece := await child.stdout.read(PIECE_BYTES)):
            said += piece
        if len(said) > MAX_ANSWER_BYTES:
            return 0, bytes(said)
        return await child.wait(), bytes(said)
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            while await child.stdout.read(PIECE_BYTES):  # a full pipe would delay its end
                pass
            await child.wait()
        await asyncio.wait((complaining,), timeout=COMPLAINTS_S)
        complaining.cancel()


async def _log(complaints: asyncio.StreamReader) -> None:
    """Log the standard error of a child, up to `MAX_COMPLAINT_BYTES`."""
    said = b""
    while piece := await complaints.read(PIECE_BYTES):
        said = (said + piece)[:MAX_COMPLAINT_BYTES]
    for line in said.decode("utf-8", "replace").splitlines():
        logger.warning("the check of a data set: %s", line)
