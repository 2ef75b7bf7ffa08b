"""What is shown of models and versions, and choosing the active one, through the real app."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from modelstore import Lineage, ModelRepository, Prediction, ValuePrediction, write_predictions, write_values
from tests.app.asgi import ask_around_a_deletion
from tests.app.broken import Logits, NotANumber, publish_as_means
from tests.app.problems import assert_problem
from tests.app.waiting import until
from tests.fakes import MeanModel, manifest_for, publish, script
from tests.modelstore.samples import MODEL, sample_regression


def test_list_has_every_model_and_the_device(steady: TestClient) -> None:
    listed = steady.get("/models").json()

    assert listed["device"] == "cpu"
    assert [(model["name"], model["state"], model["device"]) for model in listed["models"]] == [
        ("means", "ready", "cpu"),
        ("thirds", "ready", "cpu"),
    ]


def test_model_that_is_deleted_while_models_are_listed_is_left_out(client: TestClient) -> None:
    assert client.portal is not None
    client.get("/train")  # the job table is open by now

    listed, deletion = client.portal.call(ask_around_a_deletion, client.app, "GET", "/models", "/models/means")

    assert (listed.status, deletion.status) == (200, 204)
    assert [model["name"] for model in json.loads(listed.body)["models"]] == ["thirds"]


def test_model_is_shown_as_in_the_list(steady: TestClient) -> None:
    assert steady.get("/models/thirds").json() == steady.get("/models").json()["models"][1]


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

    assert problem["detail"].startswith("means version 2 was refused (contract_finite): ")
    assert (high(client), repository.active("means")) == ((1, 0.0), 1)
    assert client.get("/models/means").json()["state"] == "ready"


def shown_in(state: str, client: TestClient) -> dict[str, Any] | None:
    shown: dict[str, Any] = client.get("/models/means").json()
    return shown if shown["state"] == state else None


def test_model_whose_active_version_is_broken_is_degraded(client: TestClient, repository: ModelRepository) -> None:
    publish_as_means(repository, Logits(2, 0.0))

    shown = until(lambda: shown_in("degraded", client), "the broken version is noticed")

    assert (shown["active_version"], shown["serving_version"]) == (2, 1)
    assert shown["reason"] == "contract_sum: its answers are not probabilities that sum to 1"
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


def test_empty_store_lists_nothing(settings: Settings) -> None:
    with TestClient(create_app(settings)) as client:
        assert client.get("/models").json() == {"device": "cpu", "models": []}
        assert "none yet" in assert_problem(client.get("/models/means"), 404)["detail"]


def publish_from(repository: ModelRepository, lineage: Lineage, said: tuple[str, ...] = ()) -> int:
    """Publish a version of `means` with this lineage, which called the lines from 2 on `said`; all of them are low."""
    model = MeanModel(2, 0.0)
    data = script(model)
    lines = enumerate((Prediction("low", label, 0.75) for label in said), start=2)
    manifest = manifest_for(model, data).model_copy(update={"lineage": lineage})
    return repository.publish(
        manifest, data, {"test_predictions.csv": write_predictions(lines)} if said else {}
    ).version


def test_history_tells_where_versions_come_from_newest_first(client: TestClient, repository: ModelRepository) -> None:
    shas = {"means.csv": "0" * 64}
    lineage = Lineage(recipe={}, seed=7, data_sha256=shas, libraries={}, code="0.1.0", parent=1, job="f00")
    publish_from(repository, lineage)
    client.post("/models/means/versions/2/activate")

    history = client.get("/models/means/versions").json()

    second, first = history["versions"]
    assert (history["model"], history["next"]) == ("means", None)
    assert (second["version"], second["parent"], second["job"], second["seed"]) == (2, 1, "f00", 7)
    assert second["data_sha256"] == shas
    assert [(v["active"], v["previous"], v["serving"]) for v in (second, first)] == [
        (True, False, True),
        (False, True, False),
    ]
    assert second["metrics"]["test"] == {
        "rows": 10,
        "accuracy": 1,
        "macro_f1": 1,
        "log_loss": 0.25,
        "brier": 0.125,
        "calibration_error": 0.0625,
        "calibration_band": None,
        "roc_auc": None,
        "average_precision": None,
    }


def test_version_is_deleted_for_good(client: TestClient, repository: ModelRepository) -> None:
    publish(repository, activate=False)
    assert client.post("/predict/means/versions/2", json={"instances": [[0, 0]]}).status_code == 200

    deleted = client.delete("/models/means/versions/2")

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert repository.versions("means") == (1,)
    assert_problem(client.delete("/models/means/versions/2"), 404)
    assert_problem(client.post("/predict/means/versions/2", json={"instances": [[0, 0]]}), 404)
    assert publish(repository) == 3


def test_version_that_is_active_or_serves_is_not_deleted(client: TestClient, repository: ModelRepository) -> None:
    publish_as_means(repository, Logits(2, 0.0))
    until(lambda: shown_in("degraded", client), "the broken version is noticed")

    for version in (1, 2):  # one serves, the other is active
        problem = assert_problem(client.delete(f"/models/means/versions/{version}"), 409)
        assert problem["type"] == "urn:tabserve:problem:version-in-use"

    assert repository.versions("means") == (1, 2)
    assert high(client) == (1, 0.0)


@pytest.mark.parametrize("version", ["0", "-1", "9" * 30, "2"])
def test_version_that_was_never_published_cannot_be_deleted(steady: TestClient, version: str) -> None:
    assert_problem(steady.delete(f"/models/means/versions/{version}"), 404)
    assert_problem(steady.delete(f"/models/nobody/versions/{version}"), 404)


def test_model_is_deleted_with_all_versions_and_its_numbers_go_on(
    client: TestClient, repository: ModelRepository, settings: Settings
) -> None:
    publish(repository, activate=False)
    assert client.post("/predict/means/versions/2", json={"instances": [[0, 0]]}).status_code == 200

    deleted = client.delete("/models/means")

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert "means" not in repository.names()
    for path in ("/predict/means", "/predict/means/versions/2"):
        assert_problem(client.post(path, json={"instances": [[0, 0]]}), 404)
    assert_problem(client.delete("/models/means"), 404)
    assert [model["name"] for model in client.get("/models").json()["models"]] == ["thirds"]
    assert "/predict/means" not in client.get("/openapi.json").json()["paths"]
    lines = map(json.loads, (settings.state_dir / "audit.jsonl").read_text().splitlines())
    deletions = [(line["model"], line["outcome"]) for line in lines if line["action"] == "model.delete"]
    assert deletions == [("means", "asked"), ("means", "ok"), ("means", "asked"), ("means", "refused")]
    assert publish(repository) == 3
    assert until(lambda: client.get("/models/means").json().get("serving_version"), "the name is used again") == 3


def test_model_with_an_unfinished_training_is_not_deleted(settings: Settings, repository: ModelRepository) -> None:
    publish(repository, "iris")
    with TestClient(create_app(settings.model_copy(update={"train_concurrency": 0}))) as client:
        job = client.post("/train", json={"model": "iris"}).json()["id"]

        problem = assert_problem(client.delete("/models/iris"), 409)
        assert (problem["type"], job in problem["detail"]) == ("urn:tabserve:problem:job-conflict", True)
        assert repository.versions("iris") == (1,)

        client.delete(f"/train/{job}")
        assert client.delete("/models/iris").status_code == 204


@pytest.mark.slow
def test_deleted_model_stops_serving_in_every_process(settings: Settings, repository: ModelRepository) -> None:
    publish(repository)
    with TestClient(create_app(settings)) as client, TestClient(create_app(settings)) as other:
        assert client.delete("/models/means").status_code == 204

        until(lambda: other.get("/models/means").status_code == 404, "the other process looks at the store")
        assert_problem(other.post("/predict/means", json={"instances": [[0, 0]]}), 404)


def test_versions_are_compared_row_by_row(client: TestClient, repository: ModelRepository) -> None:
    lineage = Lineage(recipe={}, seed=0, data_sha256={"means.csv": "0" * 64}, libraries={}, code="0.1.0")
    publish_from(repository, lineage, ("low", "low", "low", "high"))
    publish_from(repository, lineage, ("low", "high", "high", "high"))

    shown = client.get("/models/means/compare?versions=2,3").json()

    assert (shown["model"], shown["versions"]) == ("means", [2, 3])
    assert (shown["rows"], shown["agreeing"], shown["disagreeing"]) == (4, 2, 2)
    assert (shown["only_first_right"], shown["only_second_right"]) == (2, 0)
    assert shown["p_value"] == pytest.approx(0.5)  # two coins that fall alike
    assert shown["examples"][0] == {"line": 3, "truth": "low", "first": "low", "second": "high"}
    assert shown["metrics"]["3"]["accuracy"] == 1


def test_versions_without_rows_in_common_are_not_compared(client: TestClient, repository: ModelRepository) -> None:
    publish(repository, activate=False)

    problem = assert_problem(client.get("/models/means/compare?versions=1,2"), 409)

    assert problem["type"] == "urn:tabserve:problem:not-comparable"
    assert "test_predictions.csv" in problem["detail"]


def test_comparison_of_what_is_not_there_is_not_found(steady: TestClient) -> None:
    assert_problem(steady.get("/models/means/compare?versions=1,999999999"), 404)
    assert_problem(steady.get("/models/nobody/compare?versions=1,2"), 404)


def test_versions_of_a_regression_are_shown_and_compared_by_their_errors(
    client: TestClient, repository: ModelRepository
) -> None:
    for predicted in (11.0, 12.5):
        rows = write_values([(2, ValuePrediction(10, predicted)), (3, ValuePrediction(20, 20))])
        repository.publish(sample_regression(), MODEL, {"test_predictions.csv": rows})
    until(lambda: client.get("/models/petals").status_code == 200, "the model is noticed")

    shown = client.get("/models/petals/compare?versions=1,2").json()
    history = client.get("/models/petals/versions").json()["versions"]

    assert (shown["task"], shown["rows"], shown["agreeing"], shown["disagreeing"]) == ("regression", 2, 1, 1)
    assert (shown["first_closer"], shown["second_closer"], shown["p_value"]) == (1, 0, 1)
    assert shown["rmse"] == pytest.approx([0.5**0.5, (2.5**2 / 2) ** 0.5])
    assert shown["examples"] == [{"line": 2, "truth": 10, "first": 11, "second": 12.5}]
    assert shown["metrics"]["2"]["rmse"] == 2.5
    figures = {"rows": 8, "rmse": 2.5, "mae": 2.0, "r2": 0.75, "median_absolute_error": 1.5}
    assert history[0]["metrics"]["test"] == figures
    assert client.get("/models/petals/versions/1").json()["baselines"] == {"mean": {"rmse": 5, "r2": 0}}
