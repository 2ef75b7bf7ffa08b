"""Inputs that are kept, and trainings on them once their labels came, through the whole app."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.jobs.tablefile import DATABASE_FILE
from app.main import create_app
from modelstore import ModelRepository
from tests.app.problems import assert_problem
from tests.app.tables import CSV
from tests.app.telemetry.figures import parsed
from tests.app.typed import publish_typed
from tests.app.waiting import until
from tests.fakes import publish
from tests.settings import settings_in
from tests.trainings import trained

ASKING = {"x-prediction-receipt": "1"}
CANARY, KNOWN = 0.7316582, "plus, or more"
TYPED = [20.25, KNOWN, True, "2020-01-02T00:00:30", "7"]


@contextlib.contextmanager
def serving(folder: Path, **settings: Any) -> Iterator[TestClient]:
    with TestClient(create_app(settings_in(folder, **settings)), raise_server_exceptions=False) as client:
        yield client


def kept_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the inputs in the job database, the oldest first."""
    with contextlib.closing(sqlite3.connect(folder / "state" / DATABASE_FILE)) as connection:
        return [json.loads(row) for (row,) in connection.execute("SELECT row FROM kept_inputs ORDER BY time_s, rowid")]


def predict(client: TestClient, model: str, rows: list[list[Any]], headers: dict[str, str] = ASKING) -> Any:
    answer = client.post(f"/predict/{model}", json={"instances": rows}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def traces(folder: Path) -> list[str]:
    """Return the files in which the planted value is."""
    digits = str(CANARY).encode()
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted({path.name.removesuffix("-wal") for path in files if digits in path.read_bytes()})


def test_a_value_of_a_row_is_on_no_disk_unless_inputs_are_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(ModelRepository(tmp_path / "models"))
    with serving(tmp_path, feedback_id_days=1, access_log=True) as client:
        body = {"instances": [[CANARY, 0.25]], "ids": ["a"]}
        assert client.post("/predict/means", json=body).status_code == 200
        assert client.post("/feedback", json={"feedback": [{"id": "a", "label": "high"}]}).json()["taken"] == 1
        pages = [client.get(path).text for path in ("/metrics", "/models/means/versions/1/live", "/models/means")]
    assert traces(tmp_path) == []
    assert not any(str(CANARY) in page for page in (*pages, caplog.text))

    with serving(tmp_path, keep_inputs_share=1, access_log=True) as client:
        predict(client, "means", [[CANARY, 0.25]])
        predict(client, "means", [[CANARY, 0.25]], headers={})  # without a receipt, nothing is kept
        pages = [client.get(path).text for path in ("/metrics", "/models/means/versions/1/live", "/models/means")]
    assert traces(tmp_path) == [DATABASE_FILE]
    assert kept_rows(tmp_path) == [{"left": CANARY, "right": 0.25}]
    assert not any(str(CANARY) in page for page in (*pages, caplog.text))
    with contextlib.closing(sqlite3.connect(tmp_path / "state" / DATABASE_FILE)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = [name for name in tables if str(CANARY) in str(connection.execute(f"SELECT * FROM {name}").fetchall())]  # noqa: S608 - names of our own tables
    assert found == ["kept_inputs"]


def test_kept_are_the_columns_that_may_be_and_the_share_of_the_rows(tmp_path: Path) -> None:
    publish_typed(ModelRepository(tmp_path / "models"), "regression")
    with serving(tmp_path, keep_inputs_share=1, keep_inputs_columns="age, plan,since") as client:
        predict(client, "typed", [TYPED, [None, "never seen", False, None, "7"]])
        table = b"age,plan,paid,since,sum\n21.5,basic,Yes,2021-03-04,1\n"
        assert client.post("/predict/typed", content=table, headers=ASKING | {"content-type": CSV}).status_code == 200
        counted = parsed(client.get("/metrics").text)
        result = frozenset({"result": "kept"}.items())
        until(lambda: parsed(client.get("/metrics").text)["tabserve_kept_inputs_total", result] == 3, "rows are kept")
    assert counted["tabserve_kept_inputs_total", frozenset({"result": "lost"}.items())] == 0
    assert kept_rows(tmp_path) == [
        {"age": 20.25, "plan": KNOWN, "since": "2020-01-02T00:00:30"},
        {"age": None, "plan": "\N{REPLACEMENT CHARACTER}", "since": None},
        {"age": 21.5, "plan": "basic", "since": "2021-03-04T00:00:00"},
    ]
    with serving(tmp_path, keep_inputs_share=0.5) as client:
        predict(client, "typed", [TYPED] * 1000)
    assert 400 < len(kept_rows(tmp_path)) - 3 < 600  # six standard deviations


def test_what_has_expired_is_removed_when_the_service_starts(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    with serving(tmp_path, keep_inputs_share=1) as client:
        predict(client, "means", [[CANARY, 0.25], [0.5, 0.5]])
    with contextlib.closing(sqlite3.connect(tmp_path / "state" / DATABASE_FILE)) as connection, connection:
        connection.execute("PRAGMA secure_delete=ON")  # as the service has it
        connection.execute("UPDATE kept_inputs SET expires_s = 1 WHERE row LIKE ?", (f"%{CANARY}%",))

    with serving(tmp_path):
        until(lambda: len(kept_rows(tmp_path)) == 1, "the expired row is removed")

    assert traces(tmp_path) == []


def test_feedback_is_included_only_with_a_data_set(steady: TestClient) -> None:
    answer = steady.post("/train", json={"model": "iris", "include_feedback": True})
    assert assert_problem(answer, 422)["errors"][0]["feature"] == "include_feedback"


@pytest.mark.slow
@pytest.mark.usefixtures("_forked")
def test_labels_that_came_later_are_trained_on_beside_the_data_set(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    years, calls = draw.uniform(0, 10, 300).round(3), draw.uniform(0, 10, 300).round(3)
    truth = ["yes" if c > y else "no" for y, c in zip(years, calls, strict=True)]
    lines = [f"{y},{c},{t}\n" for y, c, t in zip(years[:200], calls[:200], truth[:200], strict=True)]
    wanted = {"model": "leavers", "dataset": "churn", "target": "churned", "overrides": {"learner": "linear"}}
    with serving(tmp_path, keep_inputs_share=1, feedback_id_days=9) as client:
        answer = client.put("/datasets/churn", content="years,calls,churned\n" + "".join(lines))
        assert answer.status_code == 201, answer.text
        refused = assert_problem(client.post("/train", json=wanted | {"include_feedback": True}), 422)
        assert "finds no row of leavers whose inputs were kept and whose label came" in refused["detail"]
        first = trained(client, wanted)
        assert (first["status"], first["include_feedback"]) == ("succeeded", False), first
        rows = np.stack([years[200:], calls[200:]], axis=1).tolist()
        body = {"instances": rows, "ids": list(range(100))}
        assert client.post("/predict/leavers", json=body).status_code == 200
        items = [{"id": place, "label": truth[200 + place]} for place in range(60)]
        assert client.post("/feedback", json={"feedback": items}).json()["taken"] == 60

        second = trained(client, wanted | {"features": ["years"], "include_feedback": True})

        assert (second["status"], second["include_feedback"]) == ("succeeded", True), second
        shown = client.get("/models/leavers/versions/2").json()
        assert (shown["lineage"]["feedback"]["rows"], shown["lineage"]["feedback"]["versions"]) == (60, [1])
        described = [client.get(f"/models/leavers/versions/{version}").json() for version in (1, 2)]
        totals = [sum(one["metrics"][split]["rows"] for split in one["metrics"]) for one in described]
        assert totals[1] - totals[0] == 60
        card = client.get("/models/leavers/versions/2/card", headers={"accept": "text/markdown"}).text
        assert "| rows of feedback | 60 rows, predicted 20" in card
        assert "by version 1 |" in card
        again = client.post(f"/train/{second['id']}/retry").json()
        assert again["include_feedback"]
