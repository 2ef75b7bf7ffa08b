"""The files of a model's folder that hold one version number; writers hold the model's lock."""

from __future__ import annotations

import contextlib
from pathlib import Path

from modelstore.disk import folders, replace, sync
from modelstore.names import ACTIVE_FILE, LAST_VERSION_FILE, PREVIOUS_FILE, SHADOW_FILE, VERSION, check_version


def read_number(path: Path) -> int | None:
    """Return the version number that a file holds, or None if there is no such file or no such number.

    Raises:
        OSError: if it cannot be read for another reason.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError, UnicodeDecodeError):
        return int(text) if VERSION.fullmatch(text := path.read_text("ascii").strip()) else None
    return None


def mark_active(folder: Path, version: int) -> None:
    """Record a version as the active one, and the one before as the previously active one; it is no shadow then.

    Raises:
        OSError.
    """
    active = read_number(folder / ACTIVE_FILE)
    if active not in (None, version):
        replace(folder / PREVIOUS_FILE, f"{active}\n".encode())
    replace(folder / ACTIVE_FILE, f"{version}\n".encode())
    unmark_shadow(folder, version)


def unmark_shadow(folder: Path, version: int) -> bool:
    """Record that the active version has no shadow, if it is this version; return whether it was.

    Raises:
        OSError.
    """
    if read_number(folder / SHADOW_FILE) != version:
        return False
    (folder / SHADOW_FILE).unlink()
    sync(folder)
    return True


def reserve(folder: Path) -> int:
    """Return the next version number, recorded first so that the number of a removed version is not reused.

    Raises:
        OSError.
    """
    last = read_number(folder / LAST_VERSION_FILE) or 0
    version = check_version(max((last, *map(int, folders(folder, VERSION)))) + 1)
    replace(folder / LAST_VERSION_FILE, f"{version}\n".encode())
    return version
