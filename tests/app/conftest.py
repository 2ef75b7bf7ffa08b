"""Fixtures of the service's tests, besides those of all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.fakes import publish


@pytest.fixture(scope="session")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Return a client that tests share, with the models of `client`; a test that changes or counts takes `client`."""
    folder = tmp_path_factory.mktemp("steady")
    repository = ModelRepository(folder / "models")
    publish(repository)
    publish(repository, "thirds", features=("x", "y", "z"), classes=("none", "some", "all"))
    settings = Settings(models_dir=repository.root, state_dir=folder / "state", device="cpu")
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client
