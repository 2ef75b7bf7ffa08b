"""Locks that end with their process, and what clients are told about the disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from app.datasets import disk
from app.datasets.errors import StorageFull
from app.errors import StoreUnavailable


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_disk_without_room_is_full(number: int) -> None:
    with pytest.raises(StorageFull), disk.name_errors():
        raise OSError(number, os.strerror(number))


def test_other_trouble_is_told_without_a_path() -> None:
    with pytest.raises(StoreUnavailable) as caught, disk.name_errors("read"):
        raise PermissionError(errno.EACCES, "Permission denied", "/secret/path")

    assert str(caught.value) == "the data sets cannot be read now: Permission denied"


def test_new_folder_is_locked_until_its_descriptor_is_closed(tmp_path: Path) -> None:
    folder, lock = disk.new_locked_folder(tmp_path, ".incoming-")
    other = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert (folder.parent, folder.name.startswith(".incoming-")) == (tmp_path, True)
        assert not disk.try_lock(other)
        os.close(lock)
        assert disk.try_lock(other)
    finally:
        os.close(other)


def test_folders_are_deleted_with_all_in_them_and_one_that_is_gone_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)

    disk.delete((tmp_path / "a", tmp_path / "gone"))

    assert list(tmp_path.iterdir()) == []
