"""Fixtures of the tests of the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelstore import (
    ModelRepository,
)


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    """Return a store that does not exist yet."""
    return ModelRepository(tmp_path / "models")
