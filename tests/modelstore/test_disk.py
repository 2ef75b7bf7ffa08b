"""Files that are written whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from modelstore import disk


def test_replaced_file_has_the_new_content_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "ACTIVE"
    (tmp_path / ".ACTIVE.new").write_bytes(b"left by a process that died")

    for content in (b"1\n", b"2\n"):
        disk.replace(file, content)

    assert file.read_bytes() == b"2\n"
    assert list(tmp_path.iterdir()) == [file]


def test_written_file_takes_the_place_of_no_other(tmp_path: Path) -> None:
    disk.write(tmp_path / "model.pt", b"first")

    with pytest.raises(FileExistsError):
        disk.write(tmp_path / "model.pt", b"second")

    assert (tmp_path / "model.pt").read_bytes() == b"first"


def test_staged_folder_holds_all_files_and_can_be_read_by_others(tmp_path: Path) -> None:
    with disk.stage(tmp_path, ".staging-", {"a": b"1", "b": b"2"}) as staging:
        staging.rename(tmp_path / "1")

    assert {file.name: file.read_bytes() for file in (tmp_path / "1").iterdir()} == {"a": b"1", "b": b"2"}
    assert (tmp_path / "1").stat().st_mode & 0o777 == 0o755


def test_staged_folder_is_removed_on_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), disk.stage(tmp_path, ".staging-", {"a": b"1"}):
        raise KeyboardInterrupt

    assert list(tmp_path.iterdir()) == []


def test_folders_and_links_that_match_are_listed_in_order(tmp_path: Path) -> None:
    for name in ("b", "a", "other-1"):
        (tmp_path / name).mkdir()
    (tmp_path / "c").symlink_to("nowhere")
    (tmp_path / "d").write_text("a file")

    assert disk.folders(tmp_path, re.compile(r"[a-z]")) == ["a", "b", "c"]
    assert disk.folders(tmp_path / "none", re.compile(r"[a-z]")) == []
