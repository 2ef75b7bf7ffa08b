"""Requests to a service with stores of format 1; `answers.json` has its answers of then."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from tests.app.telemetry.figures import parsed
from tests.training.samples import DATA

FOLDER = Path(__file__).parent
FILES = {
    "iris": DATA / "iris.csv",
    "cancer": DATA / "labeled_cancer_data.csv",
    "blobs": DATA / "blobs.csv",
    "machines": FOLDER / "data" / "machines.csv",
}
VERSIONS = (("iris", 1), ("iris", 2), ("cancer", 1), ("blobs", 1), ("machines", 1), ("machines", 2))
ROWS = 12
HOTTER = 30.0


def rows_of(model: str) -> list[list[float]]:
    """Return the features of a model's file, without the class, which is its last column."""
    lines = list(csv.reader(FILES[model].read_text().splitlines()))
    return [[float(cell) for cell in line[:-1]] for line in lines[1:]]


def probabilities(client: TestClient, model: str, version: int) -> list[dict[str, float]]:
    """Return the answers for the first rows of the model's file."""
    asked = {"instances": rows_of(model)[:ROWS]}
    answer = client.post(f"/predict/{model}/versions/{version}", json=asked)
    assert answer.status_code == 200, answer.text
    return [found["probabilities"] for found in answer.json()["predictions"]]


def comparison(client: TestClient, model: str) -> dict[str, Any]:
    """Return what versions 1 and 2 answer differently."""
    answer = client.get(f"/models/{model}/compare?versions=1,2")
    assert answer.status_code == 200, answer.text
    return {name: answer.json()[name] for name in ("rows", "only_first_right", "only_second_right", "examples")}


def drift(client: TestClient) -> dict[str, float]:
    """Return the drift of `machines` after its own rows came, hotter, often enough to count."""
    hotter = [[temperature + HOTTER, *others] for temperature, *others in rows_of("machines")]
    for _ in range(3):
        for first in range(0, len(hotter), 50):
            asked = {"instances": hotter[first : first + 50]}
            assert client.post("/predict/machines", json=asked).status_code == 200
            shown = parsed(client.get("/metrics").text)  # what was sampled is sorted now: there is room for more
    wanted = {(name, dict(labels)["feature"]): value for (name, labels), value in shown.items() if "psi" in name}
    return {feature: value for (_, feature), value in wanted.items()}
