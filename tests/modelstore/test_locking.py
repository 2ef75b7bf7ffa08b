"""The lock of a model: one writer at a time, and errors of the disk in the store's words."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from modelstore import InvalidName, PublishError
from modelstore.locking import writing
from modelstore.names import LOCK_FILE


def test_nothing_else_can_lock_the_model_until_the_writer_is_done(tmp_path: Path) -> None:
    with writing(tmp_path, "petals") as folder:
        other = (folder / LOCK_FILE).open("rb")
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    with other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_link_and_a_bad_name_are_refused_and_an_error_of_the_disk_names_the_model(tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(tmp_path)
    with pytest.raises(PublishError, match="symbolic link"), writing(tmp_path, "linked"):
        pass
    with pytest.raises(InvalidName), writing(tmp_path, "../petals"):
        pass
    with pytest.raises(PublishError, match=r"petals.*No space left"), writing(tmp_path, "petals"):
        raise OSError(28, "No space left on device")
