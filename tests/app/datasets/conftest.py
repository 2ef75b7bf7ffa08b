"""Fixtures of the tests of data sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.datasets.store import DatasetStore
from tests.app.datasets.uploads import look


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "datasets"


@pytest.fixture
def store(root: Path) -> DatasetStore:
    return DatasetStore(root, 1 << 24, look)
