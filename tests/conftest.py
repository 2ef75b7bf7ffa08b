from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from app.telemetry.logs.background import BackgroundHandler
from modelstore import ModelRepository
from tests.fakes import publish
from tests.promises import Measured, Promises

PROMISES = pytest.StashKey[Promises]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--measured-file", type=Path, help="JSON file to add what the tests measured to")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[PROMISES] = Promises(config.getoption("--measured-file"))
    config.pluginmanager.register(config.stash[PROMISES])
    gc.disable()  # imports and items of tests stay anyhow; looking through them again and again takes seconds


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()


@pytest.fixture(scope="session")
def measured(pytestconfig: pytest.Config) -> Measured:
    """Return a function that records a figure of a promise: measured("F-13", "20 stops: 0 resets")."""
    return pytestconfig.stash[PROMISES].measured


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "HOST", "MODELS_DIR", "DATA_DIR", "STATE_DIR", "DEVICE"):
        monkeypatch.delenv(f"TABSERVE_{name}", raising=False)


@pytest.fixture(autouse=True)
def _no_log_of_the_service_stays() -> Iterator[None]:
    """Restore the logging of this process after a test that calls the service's `main`."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.setLevel(level)
    for handler in [handler for handler in root.handlers if isinstance(handler, BackgroundHandler)]:
        if handler not in handlers:
            root.removeHandler(handler)


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
        train_niceness=0,  # else trainings wait for the tests beside them
    )


@pytest.fixture
def client(settings: Settings, repository: ModelRepository) -> Iterator[TestClient]:
    """Return a client of the whole app, which serves version 1 of `means` and of `thirds`."""
    publish(repository)
    publish(repository, "thirds", features=("x", "y", "z"), classes=("none", "some", "all"))
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client
