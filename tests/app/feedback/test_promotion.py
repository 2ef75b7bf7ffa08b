"""Promotion by several processes, and where the store cannot be written; the real app."""

from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.api.routes.test_shadow import DIFFERENT, LIVE, label, receipts_with_a_shadow
from tests.fakes import publish


@pytest.fixture
def repository(repository: ModelRepository) -> ModelRepository:
    """Return a store whose version 2 is the shadow of version 1 and was trained to be promoted by itself."""
    publish(repository)
    publish(repository, shift=0.4, activate=False, gate=LIVE)
    repository.start_shadow("means", 2)
    return repository


def test_of_two_processes_one_promotes_and_the_other_goes_on(settings: Settings, repository: ModelRepository) -> None:
    late = settings.model_copy(update={"poll_interval_s": 60})
    with TestClient(create_app(settings)) as first, TestClient(create_app(late)) as second:
        found = receipts_with_a_shadow(first, repository, DIFFERENT, 12)
        label(first, found[:10], "high")
        assert repository.active("means") == 2
        repository.activate("means", 1)  # as somebody may do, who rolls back

        label(second, found[10:], "high")  # it has not seen yet that there is no shadow any more

        assert repository.active("means") == 1
    lines = (repository.root.parent / "state" / "audit.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["action"] == "model.promoted" for line in lines) == 1


def test_labels_are_kept_where_the_store_cannot_be_written(
    settings: Settings, repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    aside = repository.root / "means" / ".ACTIVE.new"
    with TestClient(create_app(settings)) as client:
        found = receipts_with_a_shadow(client, repository, DIFFERENT, 11)
        aside.mkdir()  # lies where the store writes aside
        label(client, found[:10], "high")
        assert repository.active("means") == 1
        assert "the shadow of means could not be promoted: the model store cannot be written now" in caplog.text
        aside.rmdir()

        label(client, found[10:], "high")

        assert repository.active("means") == 2
