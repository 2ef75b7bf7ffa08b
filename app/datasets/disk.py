"""What the disk does for data sets: locks that die with their process, and its errors by their names."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from app.errors import StorageFull, StoreUnavailable

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def errors_named(doing: str = "written") -> Iterator[None]:
    """Turn errors of the disk into what clients are told.

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
    """Return a new folder and the descriptor that keeps it locked; a starting process may take it before the lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if locked(descriptor) and folder.exists():
                return folder, descriptor
            os.close(descriptor)


def locked(descriptor: int) -> bool:
    """Lock an open file or folder if nobody else has, and tell whether that was so."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def delete(folders: Iterable[Path]) -> None:
    """Remove folders with all that is in them; what cannot be removed stays."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
