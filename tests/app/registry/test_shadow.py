"""Which shadow a model has as store, active version and proofs change; the real app."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.broken import damage
from tests.app.registry.questions import shown
from tests.app.waiting import until
from tests.fakes import publish


@pytest.fixture
def repository(repository: ModelRepository) -> ModelRepository:
    """Return a store with versions 1, which is active, and 2, its shadow, of two columns, and 3 of three."""
    publish(repository)
    publish(repository, shift=0.4, activate=False)
    publish(repository, features=("left", "middle", "right"), activate=False)
    repository.start_shadow("means", 2)
    return repository


def shadow(client: TestClient) -> int | None:
    found: int | None = shown(client)["shadow_version"]
    return found


def test_what_another_process_records_is_seen(settings: Settings, repository: ModelRepository) -> None:
    with TestClient(create_app(settings)) as client:
        assert shadow(client) == 2
        repository.end_shadow("means", 2)
        until(lambda: shadow(client) is None, "the shadow has ended")
        repository.start_shadow("means", 2)
        until(lambda: shadow(client) == 2, "it is back")
        repository.remove("means", 2)
        until(lambda: shadow(client) is None, "it was removed")


def test_a_shadow_of_other_columns_waits_until_a_version_with_its_columns_is_active(
    settings: Settings, repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    with TestClient(create_app(settings)) as client:
        client.post("/models/means/versions/3/activate").raise_for_status()
        assert shadow(client) is None
        client.post("/models/means/versions/1/activate").raise_for_status()
        assert shadow(client) == 2
    said = "means version 2 is no shadow: it does not take the column 'middle'"
    assert caplog.text.count(said) == 1


def test_a_version_that_stands_in_for_a_broken_one_has_no_shadow(
    settings: Settings, repository: ModelRepository
) -> None:
    damage(repository, 1)
    with TestClient(create_app(settings)) as client:
        assert shown(client)["serving_version"] in (2, 3)
        assert shadow(client) is None
        refused = client.post("/models/means/versions/2/shadow")
        assert "no active version serves" in refused.json()["detail"]


def test_a_marker_without_a_version_is_named_once(
    settings: Settings, repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    marker: Path = repository.root / "means" / "SHADOW"
    marker.write_text("9\n")
    with TestClient(create_app(settings.model_copy(update={"poll_interval_s": 0.01}))) as client:
        assert shadow(client) is None
        marker.write_text("2\n")
        until(lambda: shadow(client) == 2, "the next marker counts")
    assert caplog.text.count("means version 9 is no shadow: it is not in the store") == 1


def test_a_shadow_that_many_versions_are_asked_beside_stays_loaded(
    settings: Settings, repository: ModelRepository
) -> None:
    for _ in range(3):
        publish(repository, activate=False)
    with TestClient(create_app(settings.model_copy(update={"max_loaded_versions": 1}))) as client:
        for version in (3, 4, 5, 6):
            row = [0.1] * (3 if version == 3 else 2)
            answer = client.post(f"/predict/means/versions/{version}", json={"instances": [row]})
            assert answer.status_code == 200
        assert shadow(client) == 2
