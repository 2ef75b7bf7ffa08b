"""An upload in progress, in a hidden folder that its process keeps locked while it lives.

The folder is renamed when the upload is complete. The next process that starts removes the folders of dead processes.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from app.datasets import disk
from app.datasets.errors import StorageFull

logger = logging.getLogger(__name__)

INCOMING_PREFIX = ".incoming-"
REMOVED_PREFIX = ".removed-"


class Incoming:
    """An upload in progress, in its own folder; every method blocks."""

    def __init__(self, folder: Path, lock: int, path: Path, stream: BinaryIO) -> None:
        self.folder = folder
        self.path = path
        self.size_bytes = 0
        self._lock = lock
        self._stream = stream
        self._digest = hashlib.sha256()

    @classmethod
    def begin(cls, root: Path, name: str, declared_bytes: int) -> Incoming:
        """Create and lock the folder of an upload.

        Raises:
            StorageFull: if there is no room for the declared size.
            StoreUnavailable.
        """
        with disk.name_errors():
            root.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(root).free < declared_bytes:
                raise StorageFull
            folder, lock = disk.new_locked_folder(root, INCOMING_PREFIX)
            try:
                folder.chmod(0o755)
                path = folder / f"{name}.csv"
                return cls(folder, lock, path, path.open("xb", buffering=0))
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
                raise

    @property
    def sha256(self) -> str:
        """SHA-256 of the data written so far."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Append data to the file."""
        with disk.name_errors():
            view = memoryview(data)
            while view:
                view = view[self._stream.write(view) :]
        self._digest.update(data)
        self.size_bytes += len(data)

    def finish(self, data: bytes) -> None:
        """Append the last piece and sync the file to disk."""
        self.write(data)
        with disk.name_errors():
            os.fsync(self._stream.fileno())
            self._stream.close()

    def discard(self) -> None:
        """Remove the folder unless it was renamed, and release the lock; never fails."""
        with contextlib.suppress(OSError):
            self._stream.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def remove_leftovers(root: Path) -> None:
    """Remove the uploads and the removed contents that dead processes left."""
    root.mkdir(parents=True, exist_ok=True)
    for folder in (*root.glob(f"{INCOMING_PREFIX}*"), *root.glob(f"{REMOVED_PREFIX}*")):
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if disk.try_lock(descriptor):
                    logger.info("removing %s, which a process left", folder.name)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
