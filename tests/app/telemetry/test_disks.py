from __future__ import annotations

import os
from pathlib import Path

from app.telemetry.disks import usage_of


def test_files_of_all_folders_count_and_links_do_not_lead_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"x" * 9999)
    store = tmp_path / "store"
    (store / "iris" / "1").mkdir(parents=True)
    (store / "iris" / "1" / "model.pt").write_bytes(b"x" * 300)
    (store / "iris" / "ACTIVE").write_bytes(b"1\n")
    (store / "link").symlink_to(tmp_path)

    found = usage_of(store)

    disk = os.statvfs(store)
    assert found.used_bytes == 302
    assert found.total_bytes == disk.f_blocks * disk.f_frsize
    assert found.free_bytes is not None
    assert 0 < found.free_bytes <= found.total_bytes


def test_folder_that_is_missing_takes_no_room(tmp_path: Path) -> None:
    assert usage_of(tmp_path / "none") == (0, None, None)
