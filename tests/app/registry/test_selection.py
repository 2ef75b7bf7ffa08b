"""Versions that leave the store, or are replaced under their number, while loaded.

Through the real app.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.broken import Logits, damage, publish_as_means
from tests.app.exchange import exchange
from tests.app.waiting import until
from tests.fakes import publish

BY_NUMBER = "/predict/means/versions/2"
SWAPS = "tabserve_model_swaps_total"


@pytest.fixture
def elsewhere(tmp_path: Path) -> ModelRepository:
    """Return another store, such as that of a staging system."""
    return ModelRepository(tmp_path / "elsewhere")


def asked(client: TestClient, path: str = "/predict/means", row: tuple[float, ...] = (0, 0)) -> Any:
    return client.post(path, json={"instances": [row]})


def high(client: TestClient, path: str = "/predict/means") -> float | None:
    """Return the probability of `high` for a row of zeros, which is the shift of the version that answers."""
    answer = asked(client, path)
    return answer.json()["predictions"][0]["probabilities"]["high"] if answer.status_code == 200 else None


def shown(client: TestClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/models/means").json()
    return document


def swaps(client: TestClient, result: str) -> int:
    """Return how many versions came to this end."""
    lines = client.get("/metrics").text.splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(f'{SWAPS}{{result="{result}"}}'))


def replace(repository: ModelRepository, version: int, other: Path) -> None:
    """Put the files of another version in the place of one, as a restore from a backup does."""
    copy = repository.root / "means" / ".copy"
    shutil.copytree(other, copy)
    exchange(copy, repository.find("means", version).path)
    shutil.rmtree(copy)


def test_f9_active_version_that_is_replaced_under_its_number_is_loaded_again_and_it_is_said(
    client: TestClient,
    repository: ModelRepository,
    elsewhere: ModelRepository,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F9: the log, the metrics and the audit say it; what is shown is what answers."""
    until(lambda: audited(settings) or None, "the start is on record")
    publish(elsewhere, shift=0.5)
    served = swaps(client, "served")

    replace(repository, 1, elsewhere.find("means", 1).path)

    until(lambda: high(client) == 0.5, "the other version answers")
    assert (shown(client)["state"], shown(client)["serving_version"]) == ("ready", 1)
    assert (swaps(client, "replaced"), swaps(client, "served")) == (1, served + 1)
    assert "the files of means version 1 were replaced by those of another version" in caplog.text
    digest = client.get("/models/means/versions/1").json()["sha256"]
    record = until(lambda: [r for r in audited(settings) if r["sha256"] == digest] or None, "the swap is on record")[0]
    assert (record["version"], record["version_before"]) == (1, 1)


def audited(settings: Settings) -> list[dict[str, Any]]:
    """Return the records of other versions of `means` that came to serve."""
    path = settings.state_dir / "audit.jsonl"
    records = [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    return [record for record in records if (record["action"], record.get("model")) == ("model.swapped", "means")]


def test_f9_version_loaded_by_its_number_is_loaded_again_when_it_is_replaced(
    client: TestClient, repository: ModelRepository, elsewhere: ModelRepository
) -> None:
    """F9: for those that do not serve as well."""
    publish(repository, activate=False)
    publish(elsewhere, shift=0.5)
    assert high(client, BY_NUMBER) == 0.0

    replace(repository, 2, elsewhere.find("means", 1).path)

    until(lambda: high(client, BY_NUMBER) == 0.5, "the other version answers")
    assert (high(client), swaps(client, "replaced")) == (0.0, 1)


def test_f9_version_may_be_replaced_by_one_of_other_columns(
    client: TestClient, repository: ModelRepository, elsewhere: ModelRepository
) -> None:
    """F9: nothing that was kept for the old columns, such as the figures of drift, is asked about the new ones."""
    publish(elsewhere, features=("a", "b", "c"))
    assert asked(client).status_code == 200

    replace(repository, 1, elsewhere.find("means", 1).path)

    until(lambda: asked(client, row=(1, 1, 1)).status_code == 200, "the other version answers")
    drift = [line for line in client.get("/metrics").text.splitlines() if "drift_psi{" in line and '"means"' in line]
    assert not [line for line in drift if '"left"' in line]


def test_f9_replacement_that_does_not_prove_itself_leaves_what_serves_and_is_said(
    client: TestClient, repository: ModelRepository, elsewhere: ModelRepository
) -> None:
    """F9: as with a new version that is refused; who asks for the number gets what the store says of it."""
    publish_as_means(elsewhere, Logits(2, 0.0))

    replace(repository, 1, elsewhere.find("means", 1).path)

    until(lambda: shown(client)["state"] == "degraded", "the replacement is refused")
    assert shown(client)["reason"].startswith("contract_sum")
    assert high(client) == 0.0
    assert asked(client, "/predict/means/versions/1").status_code == 409

    publish(elsewhere, shift=0.25)
    replace(repository, 1, elsewhere.find("means", 2).path)

    until(lambda: high(client) == 0.25, "the next one answers")
    assert shown(client)["state"] == "ready"


def test_f9_files_that_were_only_touched_or_copied_are_not_loaded_again(
    client: TestClient, repository: ModelRepository, elsewhere: ModelRepository
) -> None:
    """F9: the content counts, so that a restore of the same files, or a file system without inodes, costs nothing."""
    place = repository.find("means", 1).path
    shutil.copytree(place, elsewhere.root / "same")
    served = swaps(client, "served")

    os.utime(place / "model.pt", (1, 1))
    replace(repository, 1, elsewhere.root / "same")
    publish(repository, "zeros")
    until(lambda: client.get("/models/zeros").status_code == 200, "the store is looked at")

    assert (swaps(client, "replaced"), swaps(client, "served")) == (0, served + 1)


def test_f9_damage_to_a_loaded_version_is_said_once_and_what_was_loaded_answers(
    client: TestClient, repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    """F9: damaged files are no other version, and what was loaded is what was published."""
    damage(repository, 1)

    until(lambda: "what was loaded before still answers" in caplog.text, "the damage is noticed")
    publish(repository, "zeros")
    until(lambda: client.get("/models/zeros").status_code == 200, "the store is looked at once more")

    assert caplog.text.count("what was loaded before still answers") == 1
    assert high(client) == 0.0


def test_f8_version_that_was_removed_elsewhere_is_not_answered_from_memory(
    client: TestClient, repository: ModelRepository
) -> None:
    """F8: by another worker, a replica, or the command line; the registry of this process was never asked."""
    publish(repository, activate=False)
    publish(repository)
    assert [asked(client, f"/predict/means/versions/{version}").status_code for version in (1, 2)] == [200, 200]

    removed = repository.prune("means", 1)  # keeps 3, and 1, which was active before it

    assert removed == (2,)
    until(lambda: asked(client, BY_NUMBER).status_code == 404, "the removed version is forgotten")
    assert asked(client, "/predict/means/versions/1").status_code == 200


def test_f8_stand_in_that_was_removed_gives_way_to_another(settings: Settings, repository: ModelRepository) -> None:
    """F8: for the version that serves in place of a broken one, too."""
    for shift in (0.25, 0.5, 0.75):
        publish(repository, shift=shift)
    damage(repository, 3)
    with TestClient(create_app(settings)) as client:
        assert high(client) == 0.5

        repository.remove("means", 2)

        until(lambda: high(client) == 0.25, "another one stands in")
        assert asked(client, BY_NUMBER).status_code == 404


def test_f8_active_version_that_is_taken_away_by_hand_answers_on_but_not_by_its_number(
    client: TestClient, repository: ModelRepository
) -> None:
    """F8: nothing that the store allows removes it, so a service rather answers; its number is in the store no more."""
    publish(repository, activate=False)
    shutil.rmtree(repository.find("means", 1).path)

    until(lambda: asked(client, "/predict/means/versions/1").status_code == 404, "the folder is gone")
    assert asked(client).json()["version"] == 1
