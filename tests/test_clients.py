"""Existing clients, unchanged, against a real service; and every block of docs/clients.md."""

from __future__ import annotations

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
from tritonclient.utils import InferenceServerException

from app.inference.codecs.oip import OUTPUTS
from app.schema import Float32
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.oip import NUMPY
from tests.app.tables import rows
from tests.fakes import publish
from tests.processes import PROJECT, service

pytestmark = pytest.mark.slow

FEATURES = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
CLASSES = ("setosa", "versicolor", "virginica")
PAGE = (PROJECT / "docs" / "clients.md").read_text()
KSERVE = "kserve==0.21.0"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Run a service with `iris`, whose last class has the mean of the features, clamped; version 2 adds a half."""
    folder = tmp_path_factory.mktemp("clients")
    repository = ModelRepository(folder / "models")
    publish(repository, "iris", features=FEATURES, classes=CLASSES)
    publish(repository, "iris", features=FEATURES, classes=CLASSES, shift=0.5, activate=False)
    with service(folder) as (client, _):
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
    if not installed.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, timeout=120)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", KSERVE]
        made = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
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
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(blocks("sh"))))
def test_curl_block_of_the_page_runs(live: httpx.Client, number: int) -> None:
    printed = run([*shlex.split(blocks("sh")[number].replace("localhost:8000", address(live))), "--fail-with-body"])

    assert "iris" in printed


PYTHON_BLOCKS = {next(word for word in ("httpx", "tritonclient", "kserve") if word in b): b for b in blocks("python")}


@pytest.mark.parametrize("name", ["httpx", "tritonclient"])
def test_python_block_of_the_page_runs(live: httpx.Client, name: str) -> None:
    printed = run([sys.executable, "-W", "error", "-c", PYTHON_BLOCKS[name].replace("localhost:8000", address(live))])

    assert "virginica" in printed


def test_kserve_predictor_of_the_page_starts_the_service_as_it_should(live: httpx.Client) -> None:
    (manifest,) = map(yaml.safe_load, blocks("yaml"))
    (container,) = manifest["spec"]["predictor"]["containers"]
    environment = {each["name"]: each["value"] for each in container["env"]}

    settings = Settings(
        _cli_parse_args=container["args"], **{k.removeprefix("TABSERVE_").lower(): v for k, v in environment.items()}
    )

    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(settings.models_dir) in mounts
    assert settings.port == container["ports"][0]["containerPort"]
    assert {f"TABSERVE_{name.upper()}" for name in Settings.model_fields} >= environment.keys()
    for probe in ("readinessProbe", "livenessProbe"):
        assert live.get(container[probe]["httpGet"]["path"]).status_code == 200


def test_f14_probes_of_the_page_leave_the_other_models_serving_when_one_cannot(tmp_path: Path) -> None:
    """F14: a readiness probe of `/v2/health/ready` takes the whole pod out."""
    (manifest,) = map(yaml.safe_load, blocks("yaml"))
    (container,) = manifest["spec"]["predictor"]["containers"]
    repository = ModelRepository(tmp_path / "models")
    publish(repository)
    publish(repository, "broken")
    (repository.find("broken", 1).path / "model.pt").write_bytes(b"half of a copy")
    with service(tmp_path) as (client, _):
        assert client.get("/v2/health/ready").status_code == 503
        for probe in ("readinessProbe", "livenessProbe"):
            assert client.get(container[probe]["httpGet"]["path"]).status_code == 200


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
    assert len(re.findall(r"^```\w+$", PAGE, re.MULTILINE)) == len(blocks("sh")) + len(PYTHON_BLOCKS) + len(
        blocks("yaml")
    )
