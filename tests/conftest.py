from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.fakes import publish


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "HOST", "MODELS_DIR", "DATA_DIR", "STATE_DIR", "DEVICE"):
        monkeypatch.delenv(f"TABSERVE_{name}", raising=False)


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    """Return an empty store."""
    return ModelRepository(tmp_path / "models")


@pytest.fixture
def settings(tmp_path: Path, repository: ModelRepository) -> Settings:
    return Settings(
        models_dir=repository.root,
        state_dir=tmp_path / "state",
        datasets_dir=tmp_path / "datasets",
        device="cpu",
        poll_interval_s=0.05,
    )


@pytest.fixture
def client(settings: Settings, repository: ModelRepository) -> Iterator[TestClient]:
    """Return a client of the whole app, which serves version 1 of `means` and of `thirds`."""
    publish(repository)
    publish(repository, "thirds", features=("x", "y", "z"), classes=("none", "some", "all"))
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client
