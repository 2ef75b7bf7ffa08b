"""File system helpers for data sets: locks that end with their process, and error mapping."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from app.datasets.errors import StorageFull
from app.errors import StoreUnavailable

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

T = TypeVar("T")


@contextlib.contextmanager
def name_errors(doing: str = "written") -> Iterator[None]:
    """Translate an `OSError` into the error that clients receive; `doing` is a participle such as "written" or "read".

    Raises:
        StorageFull, StoreUnavailable.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull from error
        reason = error.strerror or type(error).__name__
        raise StoreUnavailable(f"the data sets cannot be {doing} now: {reason}") from error


def new_locked_folder(root: Path, prefix: str) -> tuple[Path, int]:
    """Create a folder and return it with the descriptor that keeps it locked.

    A starting process may remove the folder before it is locked; another one is created then.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if try_lock(descriptor) and folder.exists():
                return folder, descriptor
            os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Try to lock an open file or folder, and return whether that succeeded."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def delete(folders: Iterable[Path]) -> None:
    """Remove folders with their contents, ignoring errors."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of work in a thread; if the caller is cancelled, wait for the end of the work first.

    A thread cannot be cancelled, and would go on without the lock and the files of its caller.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()  # nobody waits for it, and asyncio would log it
        raise
