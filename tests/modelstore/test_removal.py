"""Removal of entries of a model's folder."""

from __future__ import annotations

from pathlib import Path

from modelstore.removal import remove_abandoned, remove_entries


def test_files_folders_and_links_are_removed_and_what_they_point_to_is_kept(tmp_path: Path) -> None:
    folder, outside = tmp_path / "petals", tmp_path / "outside"
    (folder / "1").mkdir(parents=True)
    outside.mkdir()
    (outside / "kept").touch()
    (folder / "2").symlink_to(outside, target_is_directory=True)
    (folder / "ACTIVE").touch()
    (folder / "LAST_VERSION").touch()

    remove_entries(folder, ("1", "2", "3", "ACTIVE"))

    assert [entry.name for entry in folder.iterdir()] == ["LAST_VERSION"]
    assert (outside / "kept").exists()


def test_only_what_dead_writers_left_is_abandoned(tmp_path: Path) -> None:
    for name in (".staging-x", ".removed-y", ".permits", "1"):
        (tmp_path / name).mkdir()

    remove_abandoned(tmp_path)

    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".permits", "1"]
