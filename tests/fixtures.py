"""The fixtures of all tests.

A plugin apart from `conftest.py`, because they import the whole service.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from app.telemetry.logs.background import BackgroundHandler
from modelstore import ModelRepository
from tests.fakes import publish
from tests.settings import settings_in


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("PORT", "HOST", "MODELS_DIR", "DATA_DIR", "STATE_DIR", "DEVICE"):
            monkeypatch.delenv(f"TABSERVE_{name}", raising=False)
        yield


@pytest.fixture(autouse=True)
def _nothing_of_the_service_stays() -> Iterator[None]:
    """Restore logging and settings of this process after a test that calls the service's `main`.

    It puts its settings into the environment for its workers.
    """
    root = logging.getLogger()
    handlers, level, names = list(root.handlers), root.level, set(os.environ)
    yield
    for name in [name for name in os.environ if name.startswith("TABSERVE_") and name not in names]:
        del os.environ[name]
    root.setLevel(level)
    for handler in [handler for handler in root.handlers if isinstance(handler, BackgroundHandler)]:
        if handler not in handlers:
            root.removeHandler(handler)


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    """Return an empty store."""
    return ModelRepository(tmp_path / "models")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path, poll_interval_s=0.05)


@pytest.fixture
def client(settings: Settings, repository: ModelRepository) -> Iterator[TestClient]:
    """Return a client of the whole app, which serves version 1 of `means` and of `thirds`."""
    publish(repository)
    publish(repository, "thirds", features=("x", "y", "z"), classes=("none", "some", "all"))
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client
