"""Small steps on the disk that survive a crash and a loss of power; it must not know models or versions."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Write a new file and sync it; its folder is not synced."""
    with path.open("xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def replace(path: Path, data: bytes) -> None:
    """Put new content in place of a small file, atomically and durably; the caller holds the lock."""
    aside = path.with_name(f".{path.name}.new")
    aside.unlink(missing_ok=True)
    write(aside, data)
    aside.replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Sync a folder: names that were added or removed in it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
