"""Fixtures of the service's tests, besides those of all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.jobs.database import Database
from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository, SigningKey
from tests import postgres
from tests.app.databases import opened
from tests.fakes import publish
from tests.settings import settings_in


@pytest.fixture(scope="session")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Return a client that tests share, with the models of `client`; a test that changes or counts takes `client`."""
    folder = tmp_path_factory.mktemp("steady")
    repository = ModelRepository(folder / "models")
    publish(repository)
    publish(repository, "thirds", features=("x", "y", "z"), classes=("none", "some", "all"))
    with TestClient(create_app(settings_in(folder)), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Return a client that tests share, of an app with the model `means` that takes bodies of 1,024 bytes."""
    folder = tmp_path_factory.mktemp("narrow")
    publish(ModelRepository(folder / "models"))
    app = create_app(settings_in(folder, max_body_bytes=1024))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Return the URL of a database in a PostgreSQL cluster that runs for the tests only."""
    if not postgres.available():
        pytest.skip(f"no PostgreSQL 15 in {postgres.PROGRAMS}")
    with postgres.cluster() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> str | None:
    """Return the URL of an empty database, None for SQLite: a test that takes it runs on both."""
    if request.param == "sqlite":
        return None
    found: str = request.getfixturevalue("postgresql")
    postgres.empty(found)
    return found


@pytest.fixture
def database(url: str | None, tmp_path: Path) -> Iterator[Database]:
    """Return an open database without a row, on SQLite and on PostgreSQL."""
    database = opened(url, tmp_path / "state")
    yield database
    database.close()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "signing.key"
    SigningKey.create(file)
    return file


@pytest.fixture
def signing(settings: Settings, key_file: Path) -> Settings:
    return settings.model_copy(update={"signing_key_file": key_file})
