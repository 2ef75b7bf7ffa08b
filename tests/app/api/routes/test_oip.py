"""The Open Inference Protocol through the real app: routes, spellings, outputs, extensions."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from typing import Any

import jsonschema
import numpy as np
import orjson
import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from app.inference.codecs.oip import OUTPUTS, InferBody
from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.asgi import ask_at_once
from tests.app.broken import Logits, damage, publish_as_means
from tests.app.oip import JSON_BYTES, SPELLINGS, announced, body_of, outputs_of, sent, tensor, whole
from tests.app.tables import rows
from tests.app.waiting import until
from tests.fakes import manifest_for, publish, script

INFER = "/v2/models/means/infer"
TWO = [[0.25, 0.25], [0.5, 1.0]]


def infer(client: TestClient, inputs: list[dict[str, Any]] | None = None, path: str = INFER, **fields: Any) -> Any:
    return client.post(path, **sent(body_of(whole(inputs or [tensor(TWO)], **fields))))


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


@pytest.fixture
def unready(settings: Settings, repository: ModelRepository) -> Iterator[TestClient]:
    """Return a client of an app whose model `means` has no version that proves itself; `thirds` serves."""
    publish(repository, "thirds", features=("x", "y", "z"), classes=("none", "some", "all"))
    publish_as_means(repository, Logits(2, 0.0))
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
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


def test_answer_bytes_are_in_the_order_the_documentation_shows(steady: TestClient) -> None:
    assert infer(steady, id="42").content == (
        b'{"model_name":"means","model_version":"1","id":"42","outputs":['
        b'{"name":"probabilities","datatype":"FP32","shape":[2,2],"data":[0.75,0.25,0.25,0.75]},'
        b'{"name":"label","datatype":"BYTES","shape":[2],"data":["low","high"]},'
        b'{"name":"class_index","datatype":"INT64","shape":[2],"data":[0,1]}]}'
    )


@pytest.mark.parametrize("name", ["", "a", 'q"uo\\te', "ü€😀", "x" * 1024])
def test_id_is_echoed(steady: TestClient, name: str) -> None:
    assert infer(steady, id=name).json()["id"] == name


def test_no_id_is_made_up(steady: TestClient) -> None:
    assert "id" not in infer(steady).json()


@pytest.mark.parametrize("rows_asked", [1, 5, 1024, 1025, pytest.param(5000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_every_spelling_is_answered_like_predict(steady: TestClient, spell: Any, rows_asked: int) -> None:
    x = rows(rows_asked)

    found = outputs_of(steady.post(INFER, **sent(spell(x, ("left", "right")))))

    own = steady.post("/predict/means", json={"instances": x.tolist()}).json()["predictions"]
    expected = [[row["probabilities"]["low"], row["probabilities"]["high"]] for row in own]
    assert found["probabilities"].tobytes() == np.array(expected, dtype=np.float32).tobytes()
    assert found["label"].tolist() == [row["label"] for row in own]
    assert [("low", "high")[k] for k in found["class_index"]] == [row["label"] for row in own]


def test_answers_of_a_network_have_the_bits_of_predict(settings: Settings, repository: ModelRepository) -> None:
    torch.manual_seed(1)
    layers = torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2), torch.nn.Softmax(1)
    network = torch.nn.Sequential(*layers)
    data = script(network)
    repository.activate("means", repository.publish(manifest_for(network, data), data).version)
    x = rows(200)
    with TestClient(create_app(settings)) as client:
        own = client.post("/predict/means", json={"instances": x.tolist()}).json()["predictions"]
        found = [client.post(INFER, **sent(spell(x, ("left", "right")))) for spell in SPELLINGS.values()]

    expected = np.array([list(row["probabilities"].values()) for row in own], dtype=np.float32)
    assert len({row["probabilities"]["low"] for row in own}) > 100
    assert {outputs_of(answer)["probabilities"].tobytes() for answer in found} == {expected.tobytes()}


def test_version_in_the_path_answers(client: TestClient, repository: ModelRepository) -> None:
    version = publish(repository, shift=0.5, activate=False)

    answer = infer(client, path=f"/v2/models/means/versions/{version}/infer").json()

    assert (answer["model_version"], answer["outputs"][0]["data"][1]) == ("2", 0.75)
    assert infer(client).json()["model_version"] == "1"


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
@pytest.mark.parametrize(
    "names", [["label"], ["class_index", "probabilities"], ["label", "class_index", "probabilities"]], ids=", ".join
)
def test_outputs_come_in_the_order_in_which_they_are_asked_for(
    steady: TestClient, names: list[str], binary: bool
) -> None:
    outputs = [{"name": name, "parameters": {"binary_data": binary}} for name in names]

    found = outputs_of(infer(steady, outputs=outputs))

    assert list(found) == names
    every = outputs_of(infer(steady))
    assert all(np.array_equal(found[name], every[name]) for name in names)


def test_empty_list_of_outputs_asks_for_all(steady: TestClient) -> None:
    assert list(outputs_of(infer(steady, outputs=[]))) == list(OUTPUTS)


def test_binary_and_json_outputs_may_be_mixed(steady: TestClient) -> None:
    outputs = [{"name": "label", "parameters": {"binary_data": True}}, {"name": "probabilities"}]

    answer = infer(steady, outputs=outputs)

    assert answer.headers["content-type"] == "application/octet-stream"
    document = orjson.loads(answer.content[: int(answer.headers[JSON_BYTES])])
    assert document["outputs"][0] == {
        "name": "label",
        "datatype": "BYTES",
        "shape": [2],
        "parameters": {"binary_data_size": 15},
    }
    assert answer.content.endswith(b"\x03\0\0\0low\x04\0\0\0high")
    assert outputs_of(answer)["probabilities"].tolist() == [[0.75, 0.25], [0.25, 0.75]]


def test_wish_of_one_output_wins_over_that_of_the_request(steady: TestClient) -> None:
    outputs = [{"name": "label", "parameters": {"binary_data": False}}, {"name": "class_index"}]

    answer = infer(steady, outputs=outputs, parameters={"binary_data_output": True})

    described = orjson.loads(answer.content[: int(answer.headers[JSON_BYTES])])["outputs"]
    assert [("data" in output) for output in described] == [True, False]


def test_json_answer_has_no_header_of_binary_ones(steady: TestClient) -> None:
    answer = infer(steady)

    assert answer.headers["content-type"] == "application/json"
    assert JSON_BYTES not in answer.headers


def test_raw_form_is_answered_with_binary_tensors_only(steady: TestClient) -> None:
    content = np.array([[0.25, 0.75]], dtype="<f4").tobytes()

    answer = steady.post(INFER, content=content, headers={JSON_BYTES: "0"})

    found = outputs_of(answer)
    assert found["probabilities"].tolist() == [[0.5, 0.5]]
    assert b'"data"' not in answer.content


@pytest.mark.parametrize("content_type", [None, "application/json", "application/json; charset=utf-8"])
def test_json_needs_no_content_type(steady: TestClient, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}

    assert steady.post(INFER, content=whole([tensor(TWO)]), headers=headers).status_code == 200


@pytest.mark.parametrize("top", [1, 2, 3, 99])
@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
def test_classification_names_the_best_classes_with_value_and_index(steady: TestClient, top: int, binary: bool) -> None:
    wanted = {"name": "probabilities", "parameters": {"classification": top, "binary_data": binary}}
    inputs = [tensor([[0, 0, 0.75], [1, 1, 1]])]

    found = outputs_of(infer(steady, inputs, "/v2/models/thirds/infer", outputs=[wanted]))["probabilities"]

    ranked = [["0.75:0:none", "0.25:2:all", "0.0:1:some"], ["1.0:2:all", "0.0:0:none", "0.0:1:some"]]
    assert found.tolist() == [row[:top] for row in ranked]


def test_value_outside_the_training_range_is_answered(steady: TestClient) -> None:
    assert infer(steady, [tensor([[0.5, 1.5]])]).status_code == 200


@pytest.mark.parametrize("timeout", [0, 10_000_000])
def test_timeout_that_is_long_enough_changes_nothing(steady: TestClient, timeout: int) -> None:
    assert infer(steady, parameters={"timeout": timeout, "priority": 1}).content == infer(steady).content


@pytest.mark.parametrize("count", [2, 5000])
def test_timeout_that_passes_before_the_rows_are_computed_is_504(steady: TestClient, count: int) -> None:
    answer = infer(steady, [tensor(rows(count))], parameters={"timeout": 1})

    assert answer.status_code == 504
    assert "timeout" in answer.json()["error"]


def test_timeout_of_one_request_does_not_hurt_its_neighbours(settings: Settings, repository: ModelRepository) -> None:
    publish(repository)
    patient = settings.model_copy(update={"max_batch_wait_s": 0.2})
    late = whole(
        [tensor(TWO)], parameters={"timeout": 100_000}
    )  # in time when it is submitted, not when the batch runs
    with TestClient(create_app(patient)) as client:
        assert client.portal is not None
        answers = client.portal.call(ask_at_once, client.app, INFER, [whole([tensor(TWO)]), late, whole([tensor(TWO)])])
        (counted,) = stats(client)

    assert [answer.status for answer in answers] == [200, 504, 200]
    assert (counted["inference_count"], counted["execution_count"]) == (4, 1)
    assert counted["inference_stats"]["queue"]["ns"] >= 2 * 190_000_000  # a timer may be some milliseconds early


# Description


@pytest.mark.parametrize(
    "path",
    [
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models",
        "/v2/models/means",
        "/v2/models/means/versions/1",
        "/v2/models/means/ready",
        "/v2/models/stats",
        "/v2/models/means/versions/1/stats",
    ],
)
def test_what_is_shown_fits_the_described_shape(steady: TestClient, path: str) -> None:
    document = steady.get("/openapi.json").json()
    template = path.replace("means", "{model}").replace("/1", "/{version}")
    described = document["paths"][template]["get"]["responses"]

    schema = described["200"]["content"]["application/json"]["schema"]
    full = {**schema, "components": document["components"]}
    jsonschema.Draft202012Validator(full).validate(steady.get(path).json())
    assert "422" not in described


def test_requests_and_answers_fit_the_described_shape(steady: TestClient) -> None:
    described = steady.get("/openapi.json").json()["paths"]["/v2/models/{model}/infer"]["post"]
    request = whole([tensor(TWO)], id="1", outputs=[{"name": "label"}], parameters={"timeout": 10**7})

    answer = steady.post(INFER, content=request)

    for content, document in (
        (described["requestBody"]["content"], request),
        (described["responses"]["200"]["content"], answer.content),
    ):
        jsonschema.Draft202012Validator(content["application/json"]["schema"]).validate(orjson.loads(document))


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


def refused(client: TestClient) -> list[dict[str, Any]] | None:
    """Return the index as soon as it has a version that was refused."""
    index: list[dict[str, Any]] = client.post("/v2/repository/index").json()
    return index if any(entry["reason"].startswith("integrity_") for entry in index) else None


@pytest.mark.parametrize(("body", "count"), [(b"", 3), (b"{}", 3), (b'{"ready": true}', 2), (b'{"ready": false}', 3)])
def test_index_may_be_of_what_serves_only(
    client: TestClient, repository: ModelRepository, body: bytes, count: int
) -> None:
    publish(repository, activate=False)

    assert len(client.post("/v2/repository/index", content=body).json()) == count


@pytest.mark.parametrize("what", ["load", "unload"])
def test_models_are_neither_loaded_nor_unloaded_from_here(steady: TestClient, what: str) -> None:
    assert steady.post(f"/v2/repository/models/means/{what}").status_code == 404


# Figures


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


def test_rows_are_counted_as_those_of_predict_are(client: TestClient) -> None:
    infer(client)
    client.post(INFER, **sent(SPELLINGS["binary"](rows(3000), ("left", "right"))))

    assert 'tabserve_inference_rows_total{model="means",version="1"} 3002.0' in client.get("/metrics").text


def test_answer_carries_the_request_id(steady: TestClient) -> None:
    answer = steady.post(INFER, content=whole([tensor(TWO)]), headers={"x-request-id": "mine"})

    assert answer.headers["x-request-id"] == "mine"


def test_body_may_be_as_large_as_the_limit_and_no_larger(settings: Settings, repository: ModelRepository) -> None:
    publish(repository)
    described, part = announced(rows(100))
    text = whole([described])
    limit = len(text) + len(part)
    with TestClient(create_app(settings.model_copy(update={"max_body_bytes": limit}))) as client:
        assert client.post(INFER, **sent(body_of(text, part))).status_code == 200
        answer = client.post(INFER, **sent(InferBody(text + b" " + part, 0, len(text) + 1)))

    assert (answer.status_code, list(answer.json())) == (413, ["error"])
