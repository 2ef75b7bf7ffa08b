"""Fixtures of the tests of the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelstore import ModelRepository
from tests.modelstore.samples import publish_sample


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    """Return a store that does not exist yet."""
    return ModelRepository(tmp_path / "models")


@pytest.fixture
def four_versions(tmp_path: Path) -> ModelRepository:
    """Return a store with versions 1 to 4, of which none is active."""
    repository = ModelRepository(tmp_path / "models")
    for _ in range(4):
        publish_sample(repository)
    return repository
