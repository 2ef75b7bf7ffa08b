"""What is shown of models and versions, and choosing the active one, through the real app."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from modelstore import Baseline, GateReport, ModelRepository
from tests.app.broken import Logits, NotANumber, damage, publish_as_means
from tests.app.problems import assert_problem
from tests.app.waiting import until
from tests.fakes import MeanModel, manifest_for, publish, script


def test_list_has_every_model_and_the_device(steady: TestClient) -> None:
    listed = steady.get("/models").json()

    assert listed["device"] == "cpu"
    assert [(model["name"], model["state"], model["device"]) for model in listed["models"]] == [
        ("means", "ready", "cpu"),
        ("thirds", "ready", "cpu"),
    ]


def test_model_is_shown_as_in_the_list(steady: TestClient) -> None:
    assert steady.get("/models/thirds").json() == steady.get("/models").json()["models"][1]


def test_model_shows_what_its_manifest_says(steady: TestClient) -> None:
    shown = steady.get("/models/means").json()

    assert shown["description"] == "the mean of its features"
    assert shown["classes"] == ["low", "high"]
    assert [(f["name"], f["unit"], f["min"], f["max"]) for f in shown["features"]] == [
        ("left", "cm", 0, 1),
        ("right", "cm", 0, 1),
    ]
    assert shown["metrics"]["test"]["log_loss"] == 0.25
    assert shown["metrics"]["test"]["confusion"] == [[5, 0], [0, 5]]
    assert (shown["versions"], shown["active_version"], shown["serving_version"], shown["reason"]) == ([1], 1, 1, None)


@pytest.mark.parametrize("model", ["means", "thirds"])
def test_example_works_as_it_stands(steady: TestClient, model: str) -> None:
    example = steady.get(f"/models/{model}").json()["example"]

    answer = steady.request(
        example["method"], example["path"], json=example["body"], headers={"content-type": example["content_type"]}
    )

    assert answer.status_code == 200
    assert "warnings" not in answer.json()


def test_version_shows_where_it_comes_from_but_no_golden_rows(client: TestClient, repository: ModelRepository) -> None:
    model = MeanModel(2, 0.0)
    data = script(model)
    gate = GateReport(policy="if_better", passed=False, reason="log loss 0.3 against 0.2", active_version=1)
    manifest = manifest_for(model, data, gate=gate)
    baselines = {"knn": Baseline(accuracy=0.5, log_loss=0.7)}
    repository.publish(manifest.model_copy(update={"baselines": baselines}), data)

    shown = client.get("/models/means/versions/2").json()

    assert (shown["name"], shown["version"], shown["state"], shown["active"]) == ("means", 2, "stored", False)
    assert (shown["sha256"], shown["size_bytes"]) == (manifest.sha256, len(data))
    assert shown["gate"]["reason"] == "log loss 0.3 against 0.2"
    assert shown["baselines"] == {"knn": {"accuracy": 0.5, "log_loss": 0.7}}
    assert shown["lineage"]["code"] == "0.1.0"
    assert "golden" not in shown


def test_serving_version_is_shown_as_such(steady: TestClient) -> None:
    shown = steady.get("/models/means/versions/1").json()

    assert (shown["state"], shown["active"], shown["reason"]) == ("serving", True, None)


def test_version_that_cannot_be_read_is_shown_with_the_reason(client: TestClient, repository: ModelRepository) -> None:
    publish(repository, activate=False)
    (repository.find("means", 2).path / "manifest.json").write_text("{}")

    shown = client.get("/models/means/versions/2").json()

    assert (shown["state"], shown["metrics"]) == ("refused", {})
    assert shown["reason"].startswith("manifest_invalid: ")


def high(client: TestClient) -> tuple[int, float]:
    """Return the version that answers, and its answer to a row of zeros, which is its shift."""
    answer = client.post("/predict/means", json={"instances": [[0, 0]]}).json()
    return answer["version"], answer["predictions"][0]["probabilities"]["high"]


def test_activation_goes_forwards_and_backwards(client: TestClient, repository: ModelRepository) -> None:
    publish(repository, shift=0.25, activate=False)
    assert high(client) == (1, 0.0)

    forwards = client.post("/models/means/versions/2/activate")
    assert (forwards.status_code, forwards.json()["serving_version"]) == (200, 2)
    assert (high(client), repository.active("means")) == ((2, 0.25), 2)

    backwards = client.post("/models/means/versions/1/activate")
    assert (backwards.json()["serving_version"], backwards.json()["state"]) == (1, "ready")
    assert (high(client), repository.active("means")) == ((1, 0.0), 1)


def test_activating_the_serving_version_again_changes_nothing(client: TestClient) -> None:
    before = client.get("/models/means").json()

    assert client.post("/models/means/versions/1/activate").json() == before


def test_broken_version_is_not_activated_and_the_serving_one_keeps_serving(
    client: TestClient, repository: ModelRepository
) -> None:
    publish_as_means(repository, NotANumber(2, 0.0), activate=False)

    problem = assert_problem(client.post("/models/means/versions/2/activate"), 409)

    assert problem["detail"].startswith("means version 2 was refused (contract): ")
    assert (high(client), repository.active("means")) == ((1, 0.0), 1)
    assert client.get("/models/means").json()["state"] == "ready"


def shown_in(state: str, client: TestClient) -> dict[str, Any] | None:
    shown: dict[str, Any] = client.get("/models/means").json()
    return shown if shown["state"] == state else None


def test_model_whose_active_version_is_broken_is_degraded(client: TestClient, repository: ModelRepository) -> None:
    publish_as_means(repository, Logits(2, 0.0))

    shown = until(lambda: shown_in("degraded", client), "the broken version is noticed")

    assert (shown["active_version"], shown["serving_version"]) == (2, 1)
    assert shown["reason"] == "contract: its answers are not probabilities that sum to 1"
    version = client.get("/models/means/versions/2").json()
    assert (version["state"], version["active"], version["reason"]) == ("refused", True, shown["reason"])


def test_degraded_model_is_ready_again_after_a_rollback(client: TestClient, repository: ModelRepository) -> None:
    publish_as_means(repository, Logits(2, 0.0))
    until(lambda: shown_in("degraded", client), "the broken version is noticed")

    client.post("/models/means/versions/1/activate")

    assert client.get("/models/means").json()["state"] == "ready"


def test_active_version_that_is_not_in_the_store_is_said(client: TestClient, repository: ModelRepository) -> None:
    (repository.root / "means" / "ACTIVE").write_text("9\n")

    shown = until(lambda: shown_in("degraded", client), "the number is noticed")

    assert (shown["active_version"], shown["reason"]) == (9, "version 9 is not in the store")


def test_model_without_a_good_version_is_unavailable(settings: Settings, repository: ModelRepository) -> None:
    publish(repository)
    damage(repository, 1)

    with TestClient(create_app(settings)) as client:
        shown = client.get("/models/means").json()

    assert (shown["state"], shown["serving_version"], shown["device"], shown["example"]) == (
        "unavailable",
        None,
        None,
        None,
    )
    assert shown["reason"] == "integrity_sha256: model.pt is not the file that was published"


def test_empty_store_lists_nothing(settings: Settings) -> None:
    with TestClient(create_app(settings)) as client:
        assert client.get("/models").json() == {"device": "cpu", "models": []}
        assert "none yet" in assert_problem(client.get("/models/means"), 404)["detail"]
