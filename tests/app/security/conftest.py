"""A key file without keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.security.keys import KeyFile


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")
