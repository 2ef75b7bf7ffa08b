"""From a CSV to sets, intervals and abstentions: upload, train, ask in each format."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import orjson
import pyarrow as pa
import pytest

from tests.app.oip import outputs_of
from tests.app.tables import ARROW, CSV, NDJSON
from tests.processes import service
from tests.trainings import trained

pytestmark = pytest.mark.slow

ROWS = 3000
NEW = 2000


def table(seed: int, rows: int) -> tuple[np.ndarray[Any, Any], list[str], np.ndarray[Any, Any]]:
    """Return two columns, a class that is 75 % sure at best, and a quantity whose noise grows with it."""
    draw = np.random.default_rng(seed)
    x = draw.uniform(-2, 2, (rows, 2)).round(4)
    names = ["yes" if one else "no" for one in draw.random(rows) < 1 / (1 + np.exp(-1.6 * x[:, 0]))]
    level = 50 + 20 * x[:, 1]
    return x, names, level + draw.standard_normal(rows) * level / 10


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Return a client of a service that has trained `risk` and `price`, which may abstain, on 3,000 rows."""
    folder = tmp_path_factory.mktemp("sets")
    x, names, prices = table(0, ROWS)
    lines = [f"{a},{b},{name},{price:.3f}" for (a, b), name, price in zip(x, names, prices, strict=True)]
    settings = {"TABSERVE_RECIPES_DIR": str(folder / "none")}
    with service(folder, environment=settings, ready=False) as (client, _):
        put = client.put(
            "/datasets/own", content="\n".join(["a,b,left,price", *lines, ""]), headers={"content-type": CSV}
        )
        assert put.status_code == 201, put.text
        common = {"dataset": "own", "features": ["a", "b"], "activate": "always", "overrides": {"learner": "linear"}}
        for wanted in (
            {"model": "risk", "target": "left", "abstain": {"below": 0.6, "out_of_range": True}},
            {"model": "price", "target": "price", "abstain": {"wider": 20, "confidence": 0.9}},
        ):
            job = trained(client, common | wanted)
            assert job["status"] == "succeeded", job
        yield client


def test_new_rows_are_covered_as_often_as_the_answer_says(client: httpx.Client) -> None:
    x, names, prices = table(1, NEW)
    answer = client.post("/predict/risk", json={"instances": x.tolist(), "confidence": 0.9, "abstain": False}).json()
    assert answer["guarantee"] == "class"
    held = np.array([name in row["set"] for name, row in zip(names, answer["predictions"], strict=True)])
    for name in ("yes", "no"):  # 120 calibration rows of each class and 1,000 new ones: a deviation of 0.029
        assert held[np.array(names) == name].mean() == pytest.approx(0.9, abs=0.09)
    answer = client.post("/predict/price", json={"instances": x.tolist(), "confidence": 0.9}).json()
    assert answer["guarantee"] == "marginal"
    ends = np.array([row["interval"] for row in answer["predictions"]])
    inside = (ends[:, 0] <= prices) & (prices <= ends[:, 1])
    assert inside.mean() == pytest.approx(0.9, abs=0.06)  # 240 calibration rows: a deviation of 0.02
    widths = ends[:, 1] - ends[:, 0]
    decided = np.array([row["decision"] is not None for row in answer["predictions"]])
    assert decided.tolist() == (widths <= 20).tolist()
    assert 0.1 < decided.mean() < 0.9
    assert widths[x[:, 1] > 1].mean() > 1.5 * widths[x[:, 1] < -1].mean()
    described = client.get("/models/risk").json()
    assert (described["conformal"]["source"], described["abstain"]["below"]) == ("split", 0.6)
    assert described["conformal"]["test_coverage"]["0.9"]["share"] == pytest.approx(0.9, abs=0.1)


def test_each_format_answers_the_same_sets_and_decisions(client: httpx.Client) -> None:
    rows = [[-1.9, 0.5], [0.01, 0.0], [1.9, -1.0], [5.0, 0.0]]
    answer = client.post("/predict/risk", json={"instances": rows, "confidence": 0.8}).json()["predictions"]
    sets = [row["set"] for row in answer]
    decided = [(row["decision"], row.get("abstained")) for row in answer]
    assert decided == [("no", None), (None, "low_confidence"), ("yes", None), (None, "out_of_range")]

    path, body = "/predict/risk?confidence=0.8", "a,b\n" + "".join(f"{a},{b}\n" for a, b in rows)
    lines = list(csv.DictReader(io.StringIO(client.post(path, content=body, headers={"content-type": CSV}).text)))
    assert [line["set"].split("|") for line in lines] == sets
    assert [(line["decision"] or None, line["abstained"] or None) for line in lines] == decided
    arrow = client.post(path, content=body, headers={"content-type": CSV, "accept": ARROW}).content
    columns = pa.ipc.open_stream(arrow).read_all().to_pydict()
    assert ["|".join(members) for members in sets] == columns["set"]
    assert list(zip(columns["decision"], columns["abstained"], strict=True)) == decided
    ndjson = client.post(path, content=b"\n".join(map(orjson.dumps, rows)), headers={"content-type": NDJSON}).text
    assert [orjson.loads(line)["set"] for line in ndjson.splitlines()] == sets
    inputs = [{"name": "features", "datatype": "FP32", "shape": [4, 2], "data": rows}]
    wanted = {"inputs": inputs, "parameters": {"confidence": 0.8}}
    found = outputs_of(client.post("/v2/models/risk/infer", json=wanted))  # type: ignore[arg-type]
    assert np.ravel(found["set"]).tolist() == columns["set"]
    assert np.ravel(found["decision"]).tolist() == columns["decision"]
