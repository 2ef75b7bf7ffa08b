"""The lock of a model's folder, by which processes write to it one after the other."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from modelstore.errors import PublishError
from modelstore.names import LOCK_FILE, check_name


@contextlib.contextmanager
def writing(root: Path, name: str) -> Iterator[Path]:
    """Hold the lock of a model, which the kernel releases with the process; yield the model's folder.

    Raises:
        InvalidName: if the name is not valid.
        PublishError: if the store cannot be written, here or by the body of the `with` statement.
    """
    folder = root / check_name(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.is_symlink():
            raise PublishError(name, "the model's folder is a symbolic link", root)
        with (folder / LOCK_FILE).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    except OSError as error:
        raise PublishError(name, error.strerror or type(error).__name__, root, error.errno) from error
