"""Fixtures of the job tests: runners on one table, and what their training process does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.jobs import worker
from app.jobs.claims import Claims
from app.jobs.database import Database
from app.jobs.store import JobStore
from app.settings import Settings
from tests.app.runners import Trainings, trainings, write_training


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what makes `python -m training` say one epoch, and then run the given lines."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return lambda source: write_training(tmp_path / "cwd", source)


@pytest.fixture
def here(settings: Settings) -> Iterator[Trainings]:
    with trainings(settings) as here:
        yield here


@pytest.fixture
def there(settings: Settings, here: Trainings) -> Iterator[Trainings]:
    """Return a second runner on the same table, which claims nothing itself."""
    with trainings(settings.model_copy(update={"train_concurrency": 0})) as there:
        yield there


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a runner look for work once when it starts, and then only if it is woken."""
    monkeypatch.setattr(worker, "POLL_INTERVAL_S", 3600.0)


@pytest.fixture
def store(database: Database) -> JobStore:
    return JobStore(database)


@pytest.fixture
def claims(database: Database) -> Claims:
    return Claims(database, "somebody")
