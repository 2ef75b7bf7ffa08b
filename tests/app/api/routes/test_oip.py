"""The Open Inference Protocol through the real app: metadata, health, statistics, index."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.asgi import ask_around_a_deletion, ask_at_once
from tests.app.broken import Logits, damage, publish_as_means
from tests.app.oip import INFER, TWO, infer, tensor, whole
from tests.app.tables import rows
from tests.app.waiting import until
from tests.fakes import publish
from tests.settings import settings_in

# Metadata and health


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_server_metadata_lists_the_extensions_that_work(steady: TestClient, path: str) -> None:
    assert steady.get(path, follow_redirects=False).json() == {
        "name": "tabserve",
        "version": metadata.version("tabserve"),
        "extensions": ["binary_tensor_data", "classification", "model_repository", "schedule_policy", "statistics"],
    }


@pytest.mark.parametrize("path", ["/v2/models/thirds", "/v2/models/thirds/versions/1"])
def test_model_metadata_has_the_tensors(steady: TestClient, path: str) -> None:
    assert steady.get(path).json() == {
        "name": "thirds",
        "versions": ["1"],
        "platform": "pytorch_torchscript",
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "class_index", "datatype": "INT64", "shape": [-1]},
        ],
    }


def test_models_are_listed(steady: TestClient) -> None:
    assert steady.get("/v2/models").json() == {"models": ["means", "thirds"]}


def test_health_says_live_and_ready(steady: TestClient) -> None:
    assert steady.get("/v2/health/live").json() == {"live": True}
    assert steady.get("/v2/health/ready").json() == {"ready": True}


@pytest.mark.parametrize("path", ["/v2/models/means/ready", "/v2/models/means/versions/1/ready"])
def test_model_is_ready(steady: TestClient, path: str) -> None:
    assert steady.get(path).json() == {"name": "means", "ready": True}


@pytest.fixture(scope="module")
def unready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Return a client of an app whose model `means` has no version that proves itself; `thirds` serves."""
    folder = tmp_path_factory.mktemp("unready")
    repository = ModelRepository(folder / "models")
    publish(repository, "thirds", features=("x", "y", "z"), classes=("none", "some", "all"))
    publish_as_means(repository, Logits(2, 0.0))
    with TestClient(create_app(settings_in(folder)), raise_server_exceptions=False) as client:
        yield client


def test_one_model_that_is_not_ready_makes_the_server_not_ready(unready: TestClient) -> None:
    answer = unready.get("/v2/health/ready")

    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert "error" in answer.json()
    assert unready.get("/v2/health/live").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/models/means"),
        ("GET", "/v2/models/means/versions/1"),
        ("GET", "/v2/models/means/ready"),
        ("GET", "/v2/models/means/versions/1/ready"),
        ("POST", "/v2/models/means/infer"),
        ("POST", "/v2/models/means/versions/1/infer"),
    ],
)
def test_model_that_is_not_ready_is_503(unready: TestClient, method: str, path: str) -> None:
    answer = unready.request(method, path, content=whole([tensor(TWO)]) if method == "POST" else None)

    assert answer.status_code == 503
    assert len(answer.json()["error"]) > 20
    if path.endswith("/ready"):
        assert (answer.json()["name"], answer.json()["ready"]) == ("means", False)


def test_server_without_models_is_not_ready(settings: Settings) -> None:
    with TestClient(create_app(settings)) as client:
        assert client.get("/v2/health/ready").status_code == 503
        assert client.get("/v2/models").json() == {"models": []}
        assert client.post("/v2/repository/index").json() == []
        assert client.get("/v2/models/stats").json() == {"model_stats": []}


# Inference


def test_timeout_of_one_request_does_not_hurt_its_neighbours(settings: Settings, repository: ModelRepository) -> None:
    publish(repository)
    patient = settings.model_copy(update={"max_batch_wait_s": 1.0})
    late = whole([tensor(TWO)], parameters={"timeout": 500_000})  # in time when submitted, not when the batch runs
    with TestClient(create_app(patient)) as client:
        assert client.portal is not None
        answers = client.portal.call(ask_at_once, client.app, INFER, [whole([tensor(TWO)]), late, whole([tensor(TWO)])])
        (counted,) = stats(client)

    assert [answer.status for answer in answers] == [200, 504, 200]
    assert (counted["inference_count"], counted["execution_count"]) == (4, 1)
    assert counted["inference_stats"]["queue"]["ns"] >= 2 * 990_000_000  # a timer may be some milliseconds early


# Statistics and index


def stats(client: TestClient, path: str = "/v2/models/means/stats") -> list[dict[str, Any]]:
    answer = client.get(path)
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["model_stats"]
    return found


def test_statistics_count_rows_batches_and_requests_of_every_route(client: TestClient) -> None:
    infer(client)
    infer(client, [tensor(rows(5000))])
    client.post("/predict/means", json={"instances": [[0.5, 0.5]]})
    infer(client, [tensor([[1.0]])])
    infer(client, parameters={"timeout": 1})

    (version,) = stats(client)
    assert (version["name"], version["version"]) == ("means", "1")
    assert version["inference_count"] == 5003
    assert version["execution_count"] == 1 + 3 + 1
    did = version["inference_stats"]
    assert {name: did[name]["count"] for name in did} == {
        "success": 3,
        "fail": 1,
        "queue": 3,
        "compute_input": 5,
        "compute_infer": 5,
        "compute_output": 5,
    }
    assert did["success"]["ns"] >= did["compute_infer"]["ns"] > 0
    assert version["last_inference"] > 1_700_000_000_000
    sizes = {batch["batch_size"]: batch["compute_infer"]["count"] for batch in version["batch_stats"]}
    assert sizes == {1: 1, 2: 1, 1024: 1, 2048: 2}


def test_statistics_of_a_version_that_did_nothing_are_zero(client: TestClient, repository: ModelRepository) -> None:
    publish(repository, activate=False)

    (version,) = stats(client, "/v2/models/means/versions/2/stats")

    assert (version["inference_count"], version["inference_stats"]["success"]) == (0, {"count": 0, "ns": 0})
    assert version["batch_stats"] == []


def test_statistics_of_all_models_are_a_version_each(client: TestClient, repository: ModelRepository) -> None:
    publish(repository, shift=0.5, activate=False)
    infer(client, path="/v2/models/means/versions/2/infer")

    found = [(each["name"], each["version"], each["inference_count"]) for each in stats(client, "/v2/models/stats")]

    assert found == [("means", "1", 0), ("means", "2", 2), ("thirds", "1", 0)]


@pytest.mark.parametrize("path", ["/v2/models/nobody/stats", "/v2/models/means/versions/9/stats"])
def test_statistics_of_what_is_not_there_are_404(steady: TestClient, path: str) -> None:
    assert steady.get(path).status_code == 404


def test_index_has_every_version_and_why_it_does_not_serve(client: TestClient, repository: ModelRepository) -> None:
    publish(repository, activate=False)
    damage(repository, publish(repository, activate=False))
    repository.activate("means", 3)

    index = until(lambda: refused(client), "version 3 is refused")

    assert [(entry["name"], entry["version"], entry["state"]) for entry in index] == [
        ("means", "1", "READY"),
        ("means", "2", "UNAVAILABLE"),
        ("means", "3", "UNAVAILABLE"),
        ("thirds", "1", "READY"),
    ]
    assert (index[0]["reason"], index[1]["reason"]) == ("", "it is loaded when it is asked for")


def test_index_leaves_out_a_model_that_is_deleted_meanwhile(client: TestClient) -> None:
    assert client.portal is not None
    client.get("/train")  # the job table is open by now
    path = "/v2/repository/index"

    index, deletion = client.portal.call(ask_around_a_deletion, client.app, "POST", path, "/models/means")

    assert (index.status, deletion.status) == (200, 204)
    assert [entry["name"] for entry in json.loads(index.body)] == ["thirds"]


def refused(client: TestClient) -> list[dict[str, Any]] | None:
    """Return the index as soon as it has a version that was refused."""
    index: list[dict[str, Any]] = client.post("/v2/repository/index").json()
    return index if any(entry["reason"].startswith("integrity_") for entry in index) else None


def test_index_may_be_of_what_serves_only(client: TestClient, repository: ModelRepository) -> None:
    publish(repository, activate=False)

    for body, count in ((b"", 3), (b"{}", 3), (b'{"ready": true}', 2), (b'{"ready": false}', 3)):
        assert len(client.post("/v2/repository/index", content=body).json()) == count, body


@pytest.mark.parametrize("what", ["load", "unload"])
def test_models_are_neither_loaded_nor_unloaded_from_here(steady: TestClient, what: str) -> None:
    assert steady.post(f"/v2/repository/models/means/{what}").status_code == 404


# Figures


@pytest.mark.slow
def test_requests_are_counted_by_route_template(client: TestClient) -> None:
    infer(client)
    infer(client, path="/v2/models/means/versions/1/infer")
    infer(client, path="/v2/models/nobody/infer")
    client.get("/v2")
    client.get("/v2/")

    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [s for family in families for s in family.samples if s.name == "tabserve_http_requests_total"]
    counts = {(s.labels["route"], s.labels["code"]): s.value for s in samples if s.labels["route"].startswith("/v2")}
    assert counts == {
        ("/v2/models/{model}/infer", "200"): 1,
        ("/v2/models/{model}/infer", "404"): 1,
        ("/v2/models/{model}/versions/{version}/infer", "200"): 1,
        ("/v2", "200"): 2,
    }
