"""Measure how much room folders take, and how much is left on their disks."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class FolderUsage(NamedTuple):
    """Room of a folder and its disk; `free_bytes` and `total_bytes` are None if the folder does not exist."""

    used_bytes: int
    free_bytes: int | None
    total_bytes: int | None


def usage_of(folder: Path) -> FolderUsage:
    """Return the room that a folder takes; what vanishes meanwhile or cannot be read counts nothing."""
    used = sum(_sizes(folder))
    try:
        disk = shutil.disk_usage(folder)
    except OSError:
        return FolderUsage(used, None, None)
    return FolderUsage(used, disk.free, disk.total)


def _sizes(folder: Path) -> Iterator[int]:
    for path, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(OSError):
                yield os.lstat(os.path.join(path, file)).st_size  # noqa: PTH118 - a Path for each file costs more
