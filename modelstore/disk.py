"""File operations that survive a crash or a power loss; they know no models or versions."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Write a new file and sync it; the folder is not synced."""
    with path.open("xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def replace(path: Path, data: bytes) -> None:
    """Replace the content of a small file atomically and durably; the caller must hold the lock."""
    aside = path.with_name(f".{path.name}.new")
    aside.unlink(missing_ok=True)
    write(aside, data)
    aside.replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Sync a folder, so that added and removed names are durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def staged(parent: Path, prefix: str, files: Mapping[str, bytes]) -> Iterator[Path]:
    """Write files durably to a new folder in `parent`, which the caller renames; remove the folder on any error."""
    staging = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        for file, data in files.items():
            write(staging / file, data)
        staging.chmod(0o755)
        sync(staging)
        yield staging
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def folders(parent: Path, pattern: re.Pattern[str]) -> list[str]:
    """Return the sorted names of folders and symbolic links in `parent` that match; readers do not follow the links."""
    try:
        with os.scandir(parent) as entries:
            fitting = [entry for entry in entries if pattern.fullmatch(entry.name)]
            return sorted(e.name for e in fitting if e.is_dir(follow_symlinks=False) or e.is_symlink())
    except (FileNotFoundError, NotADirectoryError):
        return []
