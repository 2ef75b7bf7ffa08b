from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from modelstore import ModelRepository
from tests.training.cli.consoles import new_console


@pytest.fixture
def console() -> Console:
    return new_console()


@pytest.fixture
def store(two_versions: Path) -> ModelRepository:
    return ModelRepository(two_versions / "models")


@pytest.fixture
def models(two_versions: Path) -> Path:
    return two_versions / "models"
