"""Existing clients, unchanged, against a real service; and every block of docs/clients.md."""

from __future__ import annotations

import fcntl
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
import yaml
from playwright.sync_api import BrowserContext
from tritonclient.utils import InferenceServerException

from app.inference.codecs.oip import OUTPUTS
from app.schema import Float32
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.oip import NUMPY
from tests.app.tables import rows
from tests.console.conftest import browser, context
from tests.fakes import publish
from tests.processes import PIP_INSTALL, PROJECT, free_port, service

pytestmark = pytest.mark.slow

__all__ = ["browser", "context"]  # fixtures

FEATURES = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
CLASSES = ("setosa", "versicolor", "virginica")
PAGE = (PROJECT / "docs" / "clients.md").read_text()
GRPC_PORT = free_port()
KSERVE = "kserve==0.21.0"
KSERVE_FILES: list[Any] = [
    yaml.safe_load((PROJECT / "deploy" / "kubernetes" / "kserve" / f"{name}.yaml").read_text())
    for name in ("serving-runtime", "inference-service")
]
(CONTAINER,) = KSERVE_FILES[0]["spec"]["containers"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Run a service with `iris`, whose last class has the mean of the features, clamped; version 2 adds a half."""
    folder = tmp_path_factory.mktemp("clients")
    repository = ModelRepository(folder / "models")
    publish(repository, "iris", features=FEATURES, classes=CLASSES)
    publish(repository, "iris", features=FEATURES, classes=CLASSES, shift=0.5, activate=False)
    with service(folder, "--grpc-port", str(GRPC_PORT)) as (client, _):
        yield client


def address(live: httpx.Client) -> str:
    return str(live.base_url).removeprefix("http://").rstrip("/")


@pytest.fixture
def client(live: httpx.Client) -> Iterator[triton.InferenceServerClient]:
    found = triton.InferenceServerClient(address(live), concurrency=4)
    yield found
    found.close()


def feature_tensor(x: Any, datatype: str = "FP32", name: str = "features", *, binary: bool = True) -> Any:
    tensor = triton.InferInput(name, list(x.shape), datatype)
    tensor.set_data_from_numpy(x, binary_data=binary)
    return tensor


def outputs(*names: str, binary: bool = True, top: int = 0) -> list[Any]:
    return [triton.InferRequestedOutput(name, binary_data=binary, class_count=top) for name in names]


def expected(x: Float32) -> Float32:
    """Return the probabilities of `iris`, shape (N, 3)."""
    high = np.clip(x.mean(axis=1, dtype=np.float32), 0, 1)
    return np.stack((1 - high, np.zeros_like(high), high), axis=1)


# tritonclient


def test_triton_finds_health_and_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("iris")
    assert client.is_model_ready("iris", "2")
    assert not client.is_model_ready("nobody")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata("iris", "2")["inputs"][0]["shape"] == [-1, 4]


@pytest.mark.parametrize("binary_in", [True, False], ids=["binary in", "json in"])
@pytest.mark.parametrize("binary_out", [True, False], ids=["binary out", "json out"])
@pytest.mark.parametrize("count", [1, 7, 3000])
def test_triton_infers_both_ways(
    client: triton.InferenceServerClient, binary_in: bool, binary_out: bool, count: int
) -> None:
    x = rows(count, 4)

    answer = client.infer(
        "iris", [feature_tensor(x, binary=binary_in)], outputs=outputs(*OUTPUTS, binary=binary_out), request_id="mine"
    )

    assert answer.get_response()["id"] == "mine"
    assert answer.as_numpy("probabilities").tobytes() == expected(x).tobytes()
    labels = [label.decode() if isinstance(label, bytes) else label for label in answer.as_numpy("label")]
    assert labels == [CLASSES[k] for k in expected(x).argmax(axis=1)]
    assert answer.as_numpy("class_index").tolist() == expected(x).argmax(axis=1).tolist()


def test_triton_without_outputs_gets_all_of_them(client: triton.InferenceServerClient) -> None:
    answer = client.infer("iris", [feature_tensor(rows(2, 4))])

    assert [answer.get_output(name) is not None for name in OUTPUTS] == [True] * 3
    assert answer.as_numpy("probabilities").shape == (2, 3)


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "FP16", "INT64", "INT8", "UINT16", "BOOL"])
def test_triton_sends_any_datatype(client: triton.InferenceServerClient, datatype: str) -> None:
    x = np.array([[0, 1, 0, 1]], dtype=NUMPY[datatype])

    answer = client.infer("iris", [feature_tensor(x, datatype)])

    assert answer.as_numpy("probabilities").tolist() == [[0.5, 0, 0.5]]


def test_triton_sends_a_tensor_for_each_feature(client: triton.InferenceServerClient) -> None:
    x = rows(5, 4)
    tensors = [feature_tensor(x[:, [k]].copy(), name=name, binary=k % 2 == 0) for k, name in enumerate(FEATURES)]

    answer = client.infer("iris", tensors[::-1])

    assert answer.as_numpy("probabilities").tobytes() == expected(x).tobytes()


def test_triton_chooses_a_version(client: triton.InferenceServerClient) -> None:
    x = np.full((1, 4), 0.25, dtype=np.float32)

    answer = client.infer("iris", [feature_tensor(x)], model_version="2")

    assert answer.get_response()["model_version"] == "2"
    assert answer.as_numpy("probabilities").tolist() == [[0.25, 0, 0.75]]


def test_triton_asks_for_classes(client: triton.InferenceServerClient) -> None:
    x = np.full((1, 4), 0.25, dtype=np.float32)

    answer = client.infer("iris", [feature_tensor(x)], outputs=outputs("probabilities", top=2))

    assert answer.as_numpy("probabilities").tolist() == [[b"0.75:0:setosa", b"0.25:2:virginica"]]


def test_triton_infers_asynchronously(client: triton.InferenceServerClient) -> None:
    parts = [rows(count, 4) for count in range(1, 13)]

    asked = [client.async_infer("iris", [feature_tensor(x)], request_id=str(len(x))) for x in parts]

    for x, answer in zip(parts, (each.get_result() for each in asked), strict=True):
        assert answer.get_response()["id"] == str(len(x))
        assert answer.as_numpy("probabilities").tobytes() == expected(x).tobytes()


def test_triton_is_told_what_is_wrong(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match=r"must be \[rows, 4\]") as caught:
        client.infer("iris", [feature_tensor(rows(2, 3))])
    assert caught.value.status() == "400"
    with pytest.raises(InferenceServerException, match="no such model; known models: iris"):
        client.infer("nobody", [feature_tensor(rows(2, 4))])
    with pytest.raises(InferenceServerException, match="there is no such route"):
        client.load_model("iris")


def test_triton_gives_a_timeout_that_passes(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="timeout of the request passed") as caught:
        client.infer("iris", [feature_tensor(rows(1, 4))], timeout=1, priority=1)
    assert caught.value.status() == "504"


def test_triton_that_hangs_up_does_not_hurt_the_next_one(live: httpx.Client) -> None:
    hasty = triton.InferenceServerClient(address(live), network_timeout=0.001)
    with pytest.raises(TimeoutError):  # the response to this many rows takes longer
        hasty.infer("iris", [feature_tensor(rows(100_000, 4))])
    hasty.close()
    patient = triton.InferenceServerClient(address(live))

    assert patient.infer("iris", [feature_tensor(rows(1, 4))]).as_numpy("probabilities").shape == (1, 3)
    patient.close()


def test_triton_reads_statistics_and_index(client: triton.InferenceServerClient) -> None:
    before = client.get_inference_statistics("iris", "2")["model_stats"][0]
    client.infer("iris", [feature_tensor(rows(5, 4))], model_version="2")
    after = client.get_inference_statistics("iris", "2")["model_stats"][0]

    assert after["inference_count"] - before["inference_count"] == 5
    assert after["inference_stats"]["success"]["count"] - before["inference_stats"]["success"]["count"] == 1
    assert {model["name"] for model in client.get_inference_statistics()["model_stats"]} == {"iris"}
    assert [(m["name"], m["version"]) for m in client.get_model_repository_index()] == [("iris", "1"), ("iris", "2")]


# KServe's client, in a virtual environment of its own: it needs older libraries than ours


@pytest.fixture(scope="module")
def kserve_python() -> Path:
    folder = PROJECT / ".venv" / KSERVE.replace("==", "-")
    python, installed = folder / "bin" / "python", folder / "installed"
    with folder.with_suffix(".lock").open("w") as lock:  # the tests of several processes make it but once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, timeout=300)
            made = subprocess.run(
                [python, *PIP_INSTALL, KSERVE], capture_output=True, text=True, timeout=500, check=False
            )
            if made.returncode:
                pytest.skip(f"{KSERVE} cannot be installed here: {made.stderr.strip().splitlines()[-1]}")
            installed.touch()
    return python


KSERVE_SCRIPT = """
import asyncio, sys
import httpx, kserve, numpy as np

async def main(url):
    client = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2"))
    assert await client.is_server_live(url) and await client.is_server_ready(url)
    assert await client.is_model_ready(url, "iris")
    x = np.array([[0.25] * 4, [1.0] * 4], dtype=np.float32)
    for binary in (True, False):
        tensor = kserve.InferInput("features", list(x.shape), "FP32")
        tensor.set_data_from_numpy(x, binary_data=binary)
        request = kserve.InferRequest("iris", [tensor], request_id="7", parameters={"binary_data_output": binary})
        answer = await client.infer(url, request, model_name="iris")
        assert (answer.id, answer.model_name) == ("7", "iris")
        named = {output.name: output for output in answer.outputs}
        assert named["probabilities"].as_numpy().tolist() == [[0.75, 0, 0.25], [0, 0, 1]], named
        assert [str(label) for label in named["label"].data] == ["setosa", "virginica"], named["label"].data
    try:
        await client.infer(url, {"inputs": []}, model_name="iris")
    except httpx.HTTPStatusError as error:
        assert error.response.status_code == 400 and "at least one tensor" in str(error)
    else:
        raise AssertionError("not refused")

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.timeout(700)
def test_kserve_client_infers_both_ways(live: httpx.Client, kserve_python: Path) -> None:
    run([str(kserve_python), "-c", KSERVE_SCRIPT, str(live.base_url)])


@pytest.mark.timeout(700)
def test_kserve_block_of_the_page_runs(live: httpx.Client, kserve_python: Path) -> None:
    (block,) = (block for block in blocks("python") if "kserve" in block)

    assert "[" in run([str(kserve_python), "-c", block.replace("localhost:8000", address(live))])


# The page


def run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(blocks("sh"))))
def test_curl_block_of_the_page_runs(live: httpx.Client, number: int) -> None:
    printed = run([*shlex.split(blocks("sh")[number].replace("localhost:8000", address(live))), "--fail-with-body"])

    assert "iris" in printed


PYTHON_BLOCKS = {
    next(word for word in ("tabserve.Client", "httpx", "tritonclient.grpc", "tritonclient", "kserve") if word in b): b
    for b in blocks("python")
}


@pytest.mark.parametrize("name", ["tabserve.Client", "httpx", "tritonclient", "tritonclient.grpc"])
def test_python_block_of_the_page_runs(live: httpx.Client, name: str) -> None:
    block = PYTHON_BLOCKS[name].replace("localhost:8000", address(live)).replace(":8001", f":{GRPC_PORT}")
    printed = run([sys.executable, "-W", "error", "-c", block])

    assert "virginica" in printed


def test_javascript_block_of_the_page_runs_in_a_browser(live: httpx.Client, context: BrowserContext) -> None:
    (block,) = blocks("js")
    page = context.new_page()
    printed: list[str] = []
    page.on("console", lambda message: printed.append(message.text))
    page.goto(str(live.base_url))

    page.evaluate(f"async () => {{ {block.replace('localhost:8000', address(live))} }}")

    assert [line.split()[0] for line in printed] == ["virginica", "virginica"]


def test_excel_block_of_the_page_sends_and_reads_what_the_service_takes_and_gives(live: httpx.Client) -> None:
    """Take the steps of the block in Python: Excel's own language runs nowhere else."""
    (block,) = blocks("powerquery")
    ((url, name, value),) = re.findall(r'Web\.Contents\("([^"]+)", \[Headers = \[#"([^"]+)" = "([^"]+)"\]', block)
    (field,) = re.findall(r"Json\.FromValue\(\[(\w+) = rows\]\)", block)
    (table,) = re.findall(r"Table\.FromRecords\(Json\.Document\(answer\)\[(\w+)\]\)", block)
    ((nested, same),) = re.findall(r'ExpandRecordColumn\(predictions, "(\w+)", .*\{0\}\[(\w+)\]', block)
    rows = [dict(zip(FEATURES, values, strict=True)) for values in ([5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3])]

    answer = live.post(httpx.URL(url).path, headers={name: value}, content=json.dumps({field: rows}))

    records = answer.raise_for_status().json()[table]
    assert nested == same
    wide = [{key: cell for key, cell in record.items() if key != nested} | record[nested] for record in records]
    assert [list(record) for record in wide] == [["label", "probability", *CLASSES]] * 2, "one set of columns"
    assert {type(cell) for record in wide for cell in record.values()} == {str, float}


def test_kserve_runtime_starts_the_service_as_it_should(live: httpx.Client) -> None:
    environment = {each["name"]: each["value"] for each in CONTAINER["env"]}

    settings = Settings(
        _cli_parse_args=CONTAINER["args"], **{k.removeprefix("TABSERVE_").lower(): v for k, v in environment.items()}
    )

    assert str(settings.models_dir) == "/mnt/models", "where KServe mounts what storageUri names"
    assert settings.port == CONTAINER["ports"][0]["containerPort"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert live.get(CONTAINER[probe]["httpGet"]["path"]).status_code == 200


def test_f14_probes_of_the_kserve_runtime_leave_the_other_models_serving_when_one_cannot(tmp_path: Path) -> None:
    """F14: a readiness probe of `/v2/health/ready` takes the whole pod out."""
    repository = ModelRepository(tmp_path / "models")
    publish(repository)
    publish(repository, "broken")
    (repository.find("broken", 1).path / "model.pt").write_bytes(b"half of a copy")
    with service(tmp_path) as (client, _):
        assert client.get("/v2/health/ready").status_code == 503
        for probe in ("readinessProbe", "livenessProbe"):
            assert client.get(CONTAINER[probe]["httpGet"]["path"]).status_code == 200


# What KServe's own package knows of its resources: every field of ours, and its type.
KSERVE_MODELS_SCRIPT = """
import json, sys
import kserve

def check(value, kind, place):
    if kind.startswith("list["):
        for number, item in enumerate(value):
            check(item, kind[5:-1], f"{place}[{number}]")
    elif hasattr(kserve, kind) or hasattr(kserve.models, kind):
        model = getattr(kserve, kind, None) or getattr(kserve.models, kind)
        known = {name: model.openapi_types[own] for own, name in model.attribute_map.items()}
        assert value.keys() <= known.keys(), f"{place}: {sorted(value.keys() - known.keys())}"
        for name, item in value.items():
            check(item, known[name], f"{place}.{name}")
        checked.append(kind)
    elif kind in ("str", "bool", "int"):
        assert type(value).__name__ == kind, f"{place}: {value!r} is no {kind}"

checked = []
for resource in json.load(sys.stdin):
    version = resource["apiVersion"].rpartition("/")[2].capitalize()
    check(resource, version + resource["kind"], resource["kind"])
print(*checked)
"""


@pytest.mark.timeout(700)
def test_kserve_files_have_fields_that_kserve_knows(kserve_python: Path) -> None:
    command = [str(kserve_python), "-c", KSERVE_MODELS_SCRIPT]
    done = subprocess.run(command, input=json.dumps(KSERVE_FILES), capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert {"V1alpha1ServingRuntimeSpec", "V1alpha1SupportedModelFormat", "V1beta1ModelSpec"} <= set(
        done.stdout.split()
    )


def test_every_extension_is_described(live: httpx.Client) -> None:
    words = {
        "binary_tensor_data": "Binary tensors",
        "classification": "`classification`",
        "model_repository": "Repository",
        "schedule_policy": "`timeout`",
        "statistics": "Statistics",
    }
    extensions = live.get("/v2").json()["extensions"]

    assert sorted(words) == extensions
    assert all(f"**{word}" in PAGE for word in words.values())


def test_every_block_of_the_page_is_tested() -> None:
    tested = [blocks(language) for language in ("sh", "js", "powerquery")]

    assert len(re.findall(r"^```\w+$", PAGE, re.MULTILINE)) == len(PYTHON_BLOCKS) + sum(map(len, tested))
