"""File operations that survive a crash or a power loss; they know no models or versions."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

# Container runtimes mount secrets here, often readable by all users; the only process of a container is this one.
SECRETS_FOLDER = Path("/run/secrets")


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
def stage(parent: Path, prefix: str, files: Mapping[str, bytes]) -> Iterator[Path]:
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


def is_exposed(path: Path, found: os.stat_result) -> bool:
    """Return whether anyone but its owner and group may read a file, or anyone but its owner may write it."""
    in_container = SECRETS_FOLDER in path.resolve().parents
    return bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or (found.st_mode & stat.S_IROTH and not in_container))


def keep_owner(path: Path, descriptor: int) -> None:
    """Copy owner, group and mode of an existing file to its replacement."""
    with contextlib.suppress(FileNotFoundError):
        present, new = path.stat(), os.fstat(descriptor)
        if (present.st_uid, present.st_gid) != (new.st_uid, new.st_gid):
            os.fchown(descriptor, present.st_uid, present.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(present.st_mode))
