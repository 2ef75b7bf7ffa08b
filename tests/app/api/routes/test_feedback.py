"""Receipts and labels through the whole app.

`means` answers the mean of its row for `high`, so all is known.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from app.feedback.reading import MAX_LABELS
from app.main import create_app
from modelstore import ModelRepository
from tests import postgres
from tests.app.oip import outputs_of
from tests.app.problems import assert_problem
from tests.app.tables import ARROW, CSV, FLOAT32, JSON, NDJSON
from tests.app.telemetry.figures import parsed
from tests.app.typed import publish_typed
from tests.fakes import publish
from tests.settings import settings_in

ASKING = {"x-prediction-receipt": "1"}
ROWS = [[0.9, 0.5], [0.1, 0.3]]  # high with 0.7, low with 0.8
TABLE = "left,right\n0.9,0.5\n0.1,0.3\n"
TYPED = [20, "basic", True, "2020-01-02T00:00:30", "7"]


def publish_both(folder: Path) -> Path:
    repository = ModelRepository(folder / "models")
    publish(repository)
    publish_typed(repository, "regression")
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = publish_both(tmp_path_factory.mktemp("feedback"))
    with TestClient(create_app(settings_in(folder)), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return publish_both(tmp_path)


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with TestClient(create_app(settings_in(folder)), raise_server_exceptions=False) as client:
        yield client


def receipts(client: TestClient, rows: list[list[Any]] = ROWS, model: str = "means") -> list[str]:
    answer = client.post(f"/predict/{model}", json={"instances": rows}, headers=ASKING)
    assert answer.status_code == 200, answer.text
    return [one["receipt"] for one in answer.json()["predictions"]]


def feedback(client: TestClient, *items: tuple[object, object]) -> dict[str, Any]:
    answer = client.post("/feedback", json={"feedback": [{"receipt": a, "label": b} for a, b in items]})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["refused"] == len(found["errors"])
    return found


def live(client: TestClient, model: str = "means", query: str = "") -> dict[str, Any]:
    answer = client.get(f"/models/{model}/versions/1/live{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_receipts_come_in_every_format_and_only_if_they_are_asked_for(shared: TestClient) -> None:
    plain = shared.post("/predict/means", json={"instances": ROWS}).json()
    asked = shared.post("/predict/means", json={"instances": ROWS}, headers=ASKING).json()
    found = [one.pop("receipt") for one in asked["predictions"]]
    assert asked == plain
    table = shared.post("/predict/means", content=TABLE, headers=ASKING | {"content-type": CSV}).text
    found += [row["receipt"] for row in csv.DictReader(io.StringIO(table))]
    arrow = shared.post("/predict/means", content=TABLE, headers=ASKING | {"content-type": CSV, "accept": ARROW})
    found += pa.ipc.open_stream(arrow.content).read_all()["receipt"].to_pylist()
    lines = shared.post("/predict/means", content=b"[0.9,0.5]\n[0.1,0.3]", headers=ASKING | {"content-type": NDJSON})
    found += [orjson.loads(line)["receipt"] for line in lines.text.splitlines()]
    columns = shared.post("/predict/means?layout=columns", json={"instances": ROWS}, headers=ASKING).json()
    found += columns["receipt"]
    inputs = [{"name": "features", "datatype": "FP32", "shape": [2, 2], "data": ROWS}]
    outputs = outputs_of(shared.post("/v2/models/means/infer", json={"inputs": inputs}, headers=ASKING))
    found += np.ravel(outputs["receipt"]).tolist()

    assert len(set(found)) == 12
    assert {len(one) for one in found} == {52}
    assert feedback(shared, *zip(found, ["high", "low"] * 6, strict=True))["taken"] == 12
    numbers = shared.post("/predict/means", json={"instances": ROWS}, headers=ASKING | {"accept": FLOAT32})
    assert "holds no receipt" in assert_problem(numbers, 422)["detail"]
    for wrong in ("yes", "", "2"):
        refused = shared.post("/predict/means", json={"instances": ROWS}, headers={"x-prediction-receipt": wrong})
        assert assert_problem(refused, 422)["errors"][0]["feature"] == "X-Prediction-Receipt"


def test_a_version_that_gives_receipts_gives_them_to_all_but_those_who_refuse(folder: Path) -> None:
    publish(ModelRepository(folder / "models"), "giving", receipts=True)
    with TestClient(create_app(settings_in(folder))) as client:
        for headers, is_given in (({}, True), (ASKING, True), ({"x-prediction-receipt": "0"}, False)):
            answer = client.post("/predict/giving", json={"instances": ROWS}, headers=headers).json()["predictions"]
            assert ["receipt" in one for one in answer] == [is_given] * 2
            table = client.post("/predict/giving", content=TABLE, headers={"content-type": CSV, **headers}).text
            assert ("receipt" in table.splitlines()[0].split(",")) is is_given
            inputs = [{"name": "features", "datatype": "FP32", "shape": [2, 2], "data": ROWS}]
            outputs = outputs_of(client.post("/v2/models/giving/infer", json={"inputs": inputs}, headers=headers))
            assert ("receipt" in outputs) is is_given
        own = client.post("/predict/giving", json={"instances": ROWS}).json()["predictions"]
        assert feedback(client, *((one["receipt"], one["label"]) for one in own))["taken"] == 2
        assert client.get("/models/giving").json()["receipts"] is True
        assert client.get("/models/giving/versions/1").json()["receipts"] is True
        assert client.get("/models/means").json()["receipts"] is False


def test_a_row_that_is_skipped_gets_no_receipt(shared: TestClient) -> None:
    headers = ASKING | {"content-type": CSV}
    table = shared.post("/predict/means?on_error=skip", content=TABLE + "x,1\n", headers=headers).text

    found = [row["receipt"] for row in csv.DictReader(io.StringIO(table))]
    assert [len(one) for one in found] == [52, 52, 0]
    assert feedback(shared, (found[0], "high"), (found[1], "low"))["taken"] == 2


def test_live_figures_are_those_of_the_labels(client: TestClient) -> None:
    assert live(client)["figures"] is None
    found = receipts(client, [*ROWS, [0.6, 0.6], [0.2, 0.2]])  # 0.7, 0.8, 0.6 and 0.8

    assert feedback(client, *zip(found, ["high", "low", "low", "low"], strict=True))["taken"] == 4

    shown = live(client)
    assert (shown["model"], shown["version"], shown["days"], shown["labels"], shown["left_out"]) == (
        "means",
        1,
        30,
        4,
        0,
    )
    figures = shown["figures"]
    assert figures["accuracy"] == 0.75
    assert figures["accuracy_interval"] == pytest.approx((0.3006, 0.9544), abs=1e-4)  # Wilson: 3 of 4
    assert figures["mean_confidence"] == pytest.approx(0.725)
    assert figures["confidence_log_loss"] == pytest.approx(0.4298, abs=1e-4)  # -ln of 0.7, 0.8, 0.4 and 0.8, / 4
    assert (shown["receipts"]["given"], shown["receipts"]["labelled"], shown["receipts"]["share"]) == (4, 4, 1.0)
    assert shown["expected"]["accuracy"] == pytest.approx(0.725, abs=1e-6)
    page, labels = parsed(client.get("/metrics").text), frozenset({"model": "means", "version": "1"}.items())
    counted = [page[f"tabserve_{name}_total", labels] for name in ("receipts", "feedback_labels", "feedback_right")]
    assert counted == [4, 4, 3]


def test_figures_of_a_quantity_are_in_its_unit(shared: TestClient) -> None:
    answer = shared.post("/predict/typed", json={"instances": [TYPED, TYPED]}, headers=ASKING).json()["predictions"]
    value = answer[0]["value"]

    assert feedback(shared, (answer[0]["receipt"], value - 3), (answer[1]["receipt"], str(value + 4)))["taken"] == 2

    shown = live(shared, "typed")
    assert shown["figures"]["rmse"] == pytest.approx(12.5**0.5, rel=1e-6)
    assert shown["figures"]["mean_error"] == pytest.approx(-0.5, abs=1e-3)
    assert shown["expected"] is None


def test_a_label_counts_once_and_repeats_change_nothing(shared: TestClient) -> None:
    (first, second) = receipts(shared)
    assert feedback(shared, (first, "high"), (first, "low"))["repeated"] == 1
    before = live(shared)

    again = feedback(shared, (first, "low"), (first, "high"))

    assert (again["taken"], again["repeated"], again["refused"]) == (0, 2, 0)
    assert live(shared) == before
    assert feedback(shared, (first, "high"), (second, "low"))["taken"] == 1


def test_what_is_refused_is_named_with_its_place_and_does_not_harm_the_rest(shared: TestClient) -> None:
    (first, second) = receipts(shared)
    items = [(first, "hihg"), (first[::-1], "high"), (5, "high"), (second, 1.5), (second, "low"), (first, None)]

    answer = feedback(shared, *items)

    assert (answer["taken"], answer["refused"]) == (1, 5)
    assert [(one["row"], one["feature"]) for one in answer["errors"]] == [
        (0, "label"),
        (1, "receipt"),
        (2, "receipt"),
        (3, "label"),
        (5, "label"),
    ]
    assert answer["errors"][0]["problem"] == "is no class; did you mean 'high'?"
    assert answer["errors"][3]["problem"] == "must be the name of a class, one of 'low', 'high'"


def test_tables_and_lines_are_taken_too(shared: TestClient) -> None:
    found = receipts(shared, ROWS * 2)
    table = "receipt,label\n" + f"{found[0]},high\n\n{found[1]},nothing\n"
    answer = shared.post("/feedback", content=table, headers={"content-type": CSV}).json()
    assert (answer["taken"], [one["row"] for one in answer["errors"]]) == (1, [4])
    lines = "\n\n".join(orjson.dumps({"receipt": one, "label": "low"}).decode() for one in found[2:])
    answer = shared.post("/feedback", content=lines + "\n[]", headers={"content-type": NDJSON}).json()
    assert (answer["taken"], [one["row"] for one in answer["errors"]]) == (2, [4])


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", JSON, 400),
        (b"[]", JSON, 422),
        (b'{"feedback": 3}', JSON, 422),
        (b"a,b\n1,2\n", CSV, 422),
        (b"receipt,label\n\xff,x\n", CSV, 400),
        (b"{}", "text/html", 415),
        (b'{"feedback": [' + b",".join([b"0"] * (MAX_LABELS + 1)) + b"]}", JSON, 413),
    ],
)
def test_a_body_of_another_form_is_refused_as_a_whole(body: bytes, kind: str, status: int, shared: TestClient) -> None:
    assert_problem(shared.post("/feedback", content=body, headers={"content-type": kind}), status)


def test_a_receipt_outlives_the_service_and_the_active_version(folder: Path, client: TestClient) -> None:
    (first, second) = receipts(client)
    assert feedback(client, (first, "high"))["taken"] == 1
    with TestClient(create_app(settings_in(folder))) as other:
        assert feedback(other, (second, "low"), (first, "high"))["taken"] == 1
        assert live(other)["labels"] == 2
        assert live(other)["receipts"]["given"] == 0  # counted since the service started


@pytest.mark.slow
def test_replicas_that_share_labels_name_no_share_of_receipts(folder: Path, postgresql: str) -> None:
    postgres.empty(postgresql)
    settings = settings_in(folder, database_url=postgresql)
    with TestClient(create_app(settings)) as one, TestClient(create_app(settings)) as other:
        given = receipts(one) + receipts(other)
        assert feedback(one, *((each, "high") for each in given))["taken"] == 4

        shown = [live(each)["receipts"] for each in (one, other)]

    assert [(each["given"], each["labelled"], each["share"]) for each in shown] == [(2, 4, None)] * 2


def test_receipts_of_a_removed_version_are_refused(client: TestClient) -> None:
    (first, second) = receipts(client)
    assert feedback(client, (first, "high"))["taken"] == 1
    assert client.delete("/models/means").status_code == 204

    assert feedback(client, (second, "low"))["errors"][0]["feature"] == "receipt"


def test_no_value_of_a_row_is_kept(folder: Path, client: TestClient) -> None:
    planted = 0.123456789
    (receipt,) = receipts(client, [[planted, planted]])
    feedback(client, (receipt, "low"))
    page = client.get("/metrics").text + client.get("/models/means/versions/1/live").text

    kept = b"".join(file.read_bytes() for file in (folder / "state").rglob("*") if file.is_file())
    assert b"jobs" in kept
    for form in (str(planted), "0.12345679"):
        assert form.encode() not in kept
        assert form not in page


def test_a_version_that_is_not_there_has_no_live_figures(shared: TestClient) -> None:
    assert shared.get("/models/means/versions/9/live").status_code == 404
    assert shared.get("/models/none/versions/1/live").status_code == 404
    assert shared.get("/models/means/versions/1/live?days=0").status_code == 422


@pytest.mark.slow
def test_expected_accuracy_is_the_true_one_where_rows_have_moved_within_the_training_range(tmp_path: Path) -> None:
    """`means` knows its probabilities; 5,000 rows of a request come from where it is surer than in training."""
    seeds = [f"seed-{seed}" for seed in range(20)]
    repository = ModelRepository(tmp_path / "models")
    for name in seeds:
        publish(repository, name)
    near = 0
    with TestClient(create_app(settings_in(tmp_path))) as client:
        for seed, name in enumerate(seeds):
            draw = np.random.default_rng(seed)
            x = draw.beta(2, 1, (5000, 2)).astype("<f4")
            is_high = draw.random(5000) < x.mean(axis=1)
            answer = client.post(f"/predict/{name}", content=x.tobytes(), headers={"content-type": FLOAT32})
            assert answer.status_code == 200, answer.text
            truth = (is_high == (x.mean(axis=1) > 0.5)).mean()
            found = client.get(f"/models/{name}/versions/1/live").json()["expected"]
            assert found["outside_share"] == 0
            near += abs(found["accuracy"] - truth) <= 0.02

    assert near >= 18
