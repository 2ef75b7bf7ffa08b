"""Models and versions are shown as store and registry have them."""

from __future__ import annotations

from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from modelstore import Baseline, BooleanFeature, GateReport, LeftOut, ModelRepository, Target
from modelstore.dialect import USUAL
from tests.app.broken import damage
from tests.app.problems import assert_problem
from tests.fakes import MeanModel, manifest_for, publish, script
from tests.onnx_models import mean_onnx


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
    assert shown["dialects"] == {"means.csv": USUAL.model_dump()}
    assert (shown["versions"], shown["active_version"], shown["serving_version"], shown["reason"]) == ([1], 1, 1, None)


def test_model_shows_the_engine_of_each_size_and_why_its_onnx_is_not_used(
    client: TestClient, repository: ModelRepository
) -> None:
    def shown(shift: float) -> tuple[set[str], list[str]]:
        version = publish(repository, onnx=mean_onnx(shift))
        answer = client.post(f"/models/means/versions/{version}/activate").json()
        sizes = [engine["up_to_rows"] for engine in answer["engines"]]
        assert sizes == sorted(sizes)
        assert sizes[-1] == 1024
        return {engine["engine"] for engine in answer["engines"]}, answer["warnings"]

    assert shown(0.0) == ({"cpu onnx"}, [])
    reason = "model.onnx is not used (golden_mismatch): golden rows differ by 0.25, allowed is 1e-05; model.pt answers"
    assert shown(0.25) == ({"cpu"}, [reason])
    assert client.get("/models/means").json()["warnings"] == [reason]


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


def test_version_shows_each_column_with_its_type_and_values_the_target_and_what_was_left_out(
    client: TestClient, repository: ModelRepository
) -> None:
    model = MeanModel(2, 0.0)
    data = script(model)
    manifest = manifest_for(model, data)
    changes = {
        "features": (
            manifest.features[0],
            BooleanFeature(name="wild", true_values=("yes",), false_values=("no",), true=3, false=4, missing=1),
        ),
        "target": Target(name="kind"),
        "left_out": (LeftOut(name="id", reason="id", detail="unique in all 8 rows"),),
        "missing_values": ("", "?"),
    }
    repository.publish(manifest.model_copy(update=changes), data)

    shown = client.get("/models/means/versions/2").json()

    assert [(column["name"], column["type"]) for column in shown["features"]] == [
        ("left", "numeric"),
        ("wild", "boolean"),
    ]
    wild = shown["features"][1]
    assert (wild["trueValues"], wild["true"], wild["missing"]) == (["yes"], 3, 1)
    assert (shown["task"], shown["target"]["name"], shown["missingValues"]) == ("classification", "kind", ["", "?"])
    assert shown["left_out"] == [{"name": "id", "reason": "id", "detail": "unique in all 8 rows"}]


def test_serving_version_is_shown_as_such(steady: TestClient) -> None:
    shown = steady.get("/models/means/versions/1").json()

    assert (shown["state"], shown["active"], shown["reason"]) == ("serving", True, None)


def test_version_that_cannot_be_read_is_shown_with_the_reason(client: TestClient, repository: ModelRepository) -> None:
    publish(repository, activate=False)
    (repository.find("means", 2).path / "manifest.json").write_text("{}")

    shown = client.get("/models/means/versions/2").json()

    assert (shown["state"], shown["metrics"]) == ("refused", {})
    assert shown["reason"].startswith("manifest_invalid: ")


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


def test_history_comes_in_parts(client: TestClient, repository: ModelRepository) -> None:
    for _ in range(4):
        publish(repository, activate=False)

    seen, path = [], "/models/means/versions?limit=2"
    while path:
        part = client.get(path).json()
        seen.append([version["version"] for version in part["versions"]])
        path = part["next"]

    assert seen == [[5, 4], [3, 2], [1]]
    assert_problem(client.get("/models/means/versions?limit=101"), 422)
    assert_problem(client.get("/models/nobody/versions"), 404)


def test_history_shows_a_version_that_cannot_be_read_with_the_reason(
    client: TestClient, repository: ModelRepository
) -> None:
    publish(repository, activate=False)
    (repository.find("means", 2).path / "manifest.json").write_text("{}")

    broken = client.get("/models/means/versions").json()["versions"][0]

    assert (broken["version"], broken["metrics"], broken["created"]) == (2, {}, None)
    assert broken["reason"].startswith("manifest_invalid: ")
