"""The files that hold one version number."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelstore.markers import mark_active, read_number, reserve, unmark_shadow


@pytest.mark.parametrize("content", [b"", b"0", b"-1", b"1 2", b"\xff", b"9" * 10])
def test_file_without_a_version_number_holds_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ACTIVE").write_bytes(content)
    assert read_number(tmp_path / "ACTIVE") is None


def test_marking_the_active_version_again_keeps_the_previous_one(tmp_path: Path) -> None:
    for version in (1, 2, 2):
        mark_active(tmp_path, version)
    assert (read_number(tmp_path / "ACTIVE"), read_number(tmp_path / "PREVIOUS")) == (2, 1)


def test_reserved_number_is_above_all_folders_and_all_reserved_ones(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    assert reserve(tmp_path) == 8
    (tmp_path / "7").rmdir()
    assert reserve(tmp_path) == 9


def test_shadow_ends_with_its_activation_and_not_with_that_of_another(tmp_path: Path) -> None:
    (tmp_path / "SHADOW").write_text("3\n")
    assert not unmark_shadow(tmp_path, 2)
    mark_active(tmp_path, 2)
    assert read_number(tmp_path / "SHADOW") == 3
    mark_active(tmp_path, 3)
    assert read_number(tmp_path / "SHADOW") is None
