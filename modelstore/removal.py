"""Remove entries of a model's folder; callers hold the model's lock."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from modelstore.disk import sync
from modelstore.names import REMOVED_PREFIX, STAGING_PREFIX


def remove_entries(folder: Path, names: Iterable[str]) -> None:
    """Remove files and folders from a model's folder, one after the other; missing ones are skipped.

    Each is renamed before anything is deleted, so readers see it whole or not at all.

    Raises:
        OSError.
    """
    aside = Path(tempfile.mkdtemp(prefix=REMOVED_PREFIX, dir=folder))
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            (folder / name).rename(aside / name)
    sync(folder)
    shutil.rmtree(aside, ignore_errors=True)


def remove_abandoned(folder: Path) -> None:
    """Remove what dead writers left half written or half deleted; a living one would hold the lock."""
    for abandoned in (*folder.glob(f"{STAGING_PREFIX}*"), *folder.glob(f"{REMOVED_PREFIX}*")):
        shutil.rmtree(abandoned, ignore_errors=True)
