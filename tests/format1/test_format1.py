"""Stores of manifest format 1 load, serve, roll back, compare and drift as when written."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient
from typer.testing import CliRunner

from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.format1.asking import FOLDER, ROWS, VERSIONS, comparison, drift, probabilities, rows_of
from tests.training.samples import DATA, draw_nothing
from training.artifact import torchscript
from training.cli.commands import app as command

ANSWERS: dict[str, Any] = json.loads((FOLDER / "answers.json").read_text())
OTHER_PROCESSORS = 1e-6  # sums of float32 are rounded in another order there


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the stores; a test that changes it puts back what it changed."""
    folder = tmp_path_factory.mktemp("format1") / "models"
    shutil.copytree(FOLDER / "models", folder)
    return folder


def service(models: Path, folder: Path) -> TestClient:
    settings = Settings(models_dir=models, state_dir=folder / "state", datasets_dir=folder / "datasets", device="cpu")
    return TestClient(create_app(settings), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client(models: Path) -> Iterator[TestClient]:
    with service(models, models.parent) as client:
        yield client


@pytest.mark.parametrize(("model", "version"), VERSIONS)
def test_version_answers_what_it_answered_when_it_was_written(client: TestClient, model: str, version: int) -> None:
    now, then = probabilities(client, model, version), ANSWERS["probabilities"][f"{model} {version}"]

    assert [list(row) for row in now] == [list(row) for row in then]
    assert [list(row.values()) for row in now] == [
        pytest.approx(list(row.values()), abs=OTHER_PROCESSORS) for row in then
    ]


@pytest.mark.parametrize(("model", "version"), VERSIONS)
def test_version_serves_the_bits_of_its_own_file(client: TestClient, models: Path, model: str, version: int) -> None:
    found = ModelRepository(models).find(model, version)
    x = np.array(rows_of(model)[:ROWS], dtype=np.float32)
    with torch.inference_mode():
        bits = torchscript.load(found.model_bytes(found.manifest()))(x)

    served = [list(row.values()) for row in probabilities(client, model, version)]

    assert np.array(served, dtype=np.float32).tobytes() == np.asarray(bits, dtype=np.float32).tobytes()


def test_every_model_serves_its_active_version(client: TestClient) -> None:
    shown = {found["name"]: found for found in client.get("/models").json()["models"]}

    assert client.get("/readyz").status_code == 200
    assert {name: found["serving_version"] for name, found in shown.items()} == {
        "iris": 2,
        "cancer": 1,
        "blobs": 1,
        "machines": 1,
    }


def test_active_version_is_rolled_back_and_forward(client: TestClient) -> None:
    served = []
    for version in (1, 2):
        assert client.post(f"/models/iris/versions/{version}/activate").status_code == 200
        answer = client.post("/predict/iris", json={"instances": rows_of("iris")[:ROWS]}).json()
        served.append((answer["version"], [found["probabilities"] for found in answer["predictions"]]))

    assert served == [(version, probabilities(client, "iris", version)) for version in (1, 2)]


@pytest.mark.parametrize("model", ["iris", "machines"])
def test_versions_are_compared(client: TestClient, model: str) -> None:
    assert comparison(client, model) == ANSWERS["comparison"][model]


@pytest.mark.slow
def test_drift_is_measured_against_the_training_rows_of_then(models: Path, tmp_path: Path) -> None:
    with service(models, tmp_path) as unasked:
        found = drift(unasked)

    assert found.pop("temperature") > 0.25  # all rows came 30 degrees hotter
    assert set(found) == {"load", "hours"}
    assert max(found.values()) < 0.1


@pytest.mark.parametrize(
    ("place", "answered"),
    [
        ("missing", {"temperature": None, "load": 0.5, "hours": 100}),
        ("text", {"temperature": "hot", "load": 0, "hours": 1}),
    ],
)
def test_cell_that_is_no_number_is_refused_as_before(client: TestClient, place: str, answered: dict[str, Any]) -> None:
    """A network of format 1 has never seen a gap; it would answer NaN."""
    answer = client.post("/predict/machines", json={"instances": [answered]})

    assert (answer.status_code, answer.json()["errors"][0]["feature"]) == (422, "temperature"), place


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["evaluate", "iris", "1"], "accuracy 0.8333, log loss 0.5807, Brier 0.3137"),
        (["evaluate", "machines", "2"], "accuracy 0.7500, log loss 0.4940, Brier 0.3305"),
        (["compare", "machines", "1", "2"], "6 of 80 test rows are answered differently"),
        (["list"], "machines"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_command_line_measures_it_as_then(models: Path, tmp_path: Path, arguments: list[str], expected: str) -> None:
    """The rows of the test split, too, are those of then: a recipe in a manifest of format 1 keeps its split."""
    data = tmp_path / "data"
    shutil.copytree(DATA, data)
    shutil.copy(FOLDER / "data" / "machines.csv", data)
    places = ["--models-dir", str(models)] + ([] if arguments[0] == "list" else ["--data-dir", str(data)])

    done = CliRunner().invoke(command, [*arguments, *places])

    assert done.exit_code == 0, done.output
    assert expected in " ".join(done.output.split())


def test_version_of_then_is_trained_again_to_the_same_bits(models: Path, tmp_path: Path) -> None:
    """On a processor like that of then; others round some of the last bits otherwise, and are told so."""
    data = tmp_path / "data"
    shutil.copytree(DATA, data)

    done = CliRunner().invoke(command, ["reproduce", "iris", "1", "--models-dir", str(models), "--data-dir", str(data)])

    said = " ".join(done.output.split())
    if done.exit_code:
        found = re.search(r"weights differ, by (\S+) at most; another processor rounds otherwise", said)
        assert found, said
        assert float(found[1]) < OTHER_PROCESSORS
    else:
        assert "iris version 1: all " in said


@pytest.mark.slow
def test_next_version_is_measured_against_one_of_format_1(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training of today finds its champion in the store of then, and leaves a good version in place."""
    draw_nothing(monkeypatch)
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    settings = ["--set", "hidden=2", "--set", "epochs=1", "--set", "patience=0", "--seed", "3"]

    done = CliRunner().invoke(command, ["fit", "iris", *settings, "--models-dir", str(folder), "--data-dir", str(DATA)])

    assert done.exit_code == 0, done.output
    gate = ModelRepository(folder).find("iris", 3).manifest().gate
    assert gate is not None
    assert (gate.active_version, gate.passed, ModelRepository(folder).active("iris")) == (2, False, 2)
    assert gate.active_log_loss == pytest.approx(0.0519, abs=5e-5)
