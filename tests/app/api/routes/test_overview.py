"""What an operator sees at first, and drift over time, through the real app."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import numpy as np
from starlette.testclient import TestClient

from app.main import create_app
from app.security.keys import KeyFile, Scope
from app.settings import Settings
from app.telemetry.drift import LEAST_ROWS
from tests.app.problems import assert_problem


def test_operator_sees_disks_workers_and_what_was_changed_last(client: TestClient, settings: Settings) -> None:
    for owner in ("first", "second"):
        client.put("/models/means/card", json={"owner": owner})

    found = client.get("/operations").json()

    assert found["workers"] == [os.getpid()]
    files = (path for path in settings.models_dir.rglob("*") if path.is_file())
    used = {disk["folder"]: disk["used_bytes"] for disk in found["disks"]}
    assert used["models"] == sum(path.stat().st_size for path in files)
    assert set(used) == {"models", "data sets", "state"}
    assert all(disk["free_bytes"] <= disk["total_bytes"] for disk in found["disks"])
    assert (found["keys"], found["keys_current"]) == (None, True)
    assert [(one["action"], one["outcome"]) for one in found["audit"][:4]] == [
        ("model.card", "ok"),
        ("model.card", "asked"),
    ] * 2
    assert all("prev" not in one for one in found["audit"])
    assert [one["seq"] for one in found["audit"]] == sorted((one["seq"] for one in found["audit"]), reverse=True)


def test_accepted_keys_are_shown_without_their_secret(settings: Settings, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    key = file.create(frozenset({Scope.ADMIN}), None, "operator")
    file.create(frozenset({Scope.PREDICT}), datetime.fromisoformat("2020-01-01T00:00:00Z"), "gone")
    with TestClient(create_app(settings.model_copy(update={"keys_file": file.path}))) as client:
        answer = client.get("/operations", headers={"authorization": f"Bearer {key}"})

    (shown,) = answer.json()["keys"]
    _, identity, secret = key.split("_", 2)
    assert (shown["id"], shown["scopes"], shown["expires"], shown["note"]) == (identity, ["admin"], None, "operator")
    assert secret not in answer.text
    assert "sha256" not in shown


def test_drift_of_each_column_is_told_over_time(client: TestClient) -> None:
    assert client.get("/models/means/drift").json() | {"times": []} == {
        "model": "means",
        "interval_s": 600.0,
        "times": [],
        "columns": {},
    }
    rows = np.random.default_rng(0).random((64, 2)).tolist()
    for _ in range(LEAST_ROWS // 64 + 1):
        client.post("/predict/means", json={"instances": rows})
        found = client.get("/models/means/drift").json()  # which sorts the rows, so that the next ones find room

    assert len(found["times"]) == 1
    assert all(len(values) == 1 and values[0] >= 0 for values in found["columns"].values())
    assert set(found["columns"]) == {"left", "right"}
    assert_problem(client.get("/models/none/drift"), 404)
