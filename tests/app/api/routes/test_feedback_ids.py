"""Labels by ids that came with the rows, through the whole app and in every format."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from app.main import create_app
from modelstore import ModelRepository
from tests.app.problems import assert_problem
from tests.app.tables import ARROW, CSV, FLOAT32, JSON, NDJSON
from tests.app.typed import publish_typed
from tests.fakes import publish
from tests.settings import settings_in

ROWS = [[0.9, 0.5], [0.1, 0.3]]  # high, low


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("ids")
    repository = ModelRepository(folder / "models")
    publish(repository)
    publish_typed(repository, "regression")
    settings = settings_in(folder, feedback_id_days=7)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def right_of(client: TestClient) -> tuple[int, int]:
    """Return how many answers of `means` were right, and how many have a label."""
    shown = client.get("/models/means/versions/1/live").json()
    accuracy = shown["figures"]["accuracy"] if shown["figures"] else 0.0
    return round(accuracy * shown["labels"]), shown["labels"]


def feedback(client: TestClient, *items: Mapping[str, object]) -> dict[str, Any]:
    answer = client.post("/feedback", json={"feedback": items})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def arrow_table(**columns: list[Any] | pa.Array) -> bytes:
    table, sink = pa.table(columns), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def predict(client: TestClient, content: bytes | Iterator[bytes], kind: str, query: str = "?id_column=order") -> Any:
    return client.post(f"/predict/means{query}", content=content, headers={"content-type": kind})


def test_a_label_comes_by_the_id_that_stood_beside_the_rows(shared: TestClient) -> None:
    right, labelled = right_of(shared)
    answer = shared.post("/predict/means", json={"instances": ROWS, "ids": ["o-1", 17]})
    assert answer.status_code == 200, answer.text
    receipts = [one["receipt"] for one in answer.json()["predictions"]]

    found = feedback(shared, {"id": "o-1", "label": "high"}, {"id": "17", "label": "high"}, {"id": "x", "label": "low"})

    assert (found["taken"], found["repeated"], found["refused"]) == (2, 0, 1)
    assert found["errors"] == [
        {
            "row": 2,
            "feature": "id",
            "problem": "is not known: no row had it in the last 7 days (TABSERVE_FEEDBACK_ID_DAYS=7)",
        }
    ]
    again = feedback(shared, {"id": "o-1", "label": "low"}, {"receipt": receipts[1], "label": "low"})
    assert (again["taken"], again["repeated"]) == (0, 2)
    assert right_of(shared) == (right + 1, labelled + 2)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (CSV, b'order,left,right\nK1,0.9,0.5\n,0.1,0.3\n"K,3",0.1,0.3\n'),
        (CSV, b"left,order,right\r\n0.9,K1,0.5\r\n\r\n0.1,,0.3\r\n0.1,\"K,3\",0.3"),
        (NDJSON, b'{"order": "K1", "left": 0.9, "right": 0.5}\n\n{"order": null, "left": 0.1, "right": 0.3}\n'
         b'{"left": 0.1, "right": 0.3, " order": "K,3"}'),
        (ARROW, arrow_table(left=[0.9, 0.1, 0.1], order=["K1", None, "K,3"], right=[0.5, 0.3, 0.3])),
        (ARROW, arrow_table(left=[0.9, 0.1, 0.1], order=pa.array(["K1", None, "K,3"]).dictionary_encode(),
                            right=[0.5, 0.3, 0.3])),
    ],
    ids=["csv", "csv with blank lines", "ndjson", "arrow", "arrow dictionary"],
)  # fmt: skip
def test_ids_of_a_table_are_those_of_its_column(kind: str, content: bytes, shared: TestClient) -> None:
    before = shared.get("/models/means/versions/1/live").json()["labels"]

    answer = predict(shared, content, kind)

    assert answer.status_code == 200, answer.text
    wrong = {"id": "K,2", "label": "low"}
    found = feedback(shared, {"id": "K1", "label": "high"}, {"id": "K,3", "label": "low"}, wrong)
    assert (found["taken"], found["refused"]) == (2, 1)
    shown = shared.get("/models/means/versions/1/live?days=1").json()
    assert shown["labels"] - before == 2


def test_numbers_keep_their_digits_and_an_id_may_be_a_feature(shared: TestClient) -> None:
    assert predict(shared, b"order,left,right\n007,0.9,0.5\n8,0.1,0.3\n", CSV).status_code == 200
    assert predict(shared, b"left,right\n0.9,0.123\n", CSV, "?id_column=right").status_code == 200
    table = arrow_table(left=[0.9], order=[12345678901234567], right=[0.5])
    assert predict(shared, table, ARROW).status_code == 200

    sent = [{"id": one, "label": "low"} for one in ("007", 8, "0.123", 12345678901234567, 7)]
    found = feedback(shared, *sent)

    assert (found["taken"], [one["row"] for one in found["errors"]]) == (4, [4])


def test_an_id_stands_for_the_newest_of_its_rows_and_for_those_of_several_models_with_a_name(
    shared: TestClient,
) -> None:
    body = {"instances": ROWS, "ids": ["same", "same"]}
    receipts = [one["receipt"] for one in shared.post("/predict/means", json=body).json()["predictions"]]
    typed = {"instances": [[20, "basic", True, "2020-01-02T00:00:30", "7"]], "ids": ["same"]}
    assert shared.post("/predict/typed", json=typed).status_code == 200

    assert feedback(shared, {"id": "same", "label": "low"})["errors"][0]["feature"] == "model"
    table = b"id,model,label\nsame,means,low\nsame,typed,3.5\n"
    found = shared.post("/feedback", content=table, headers={"content-type": CSV}).json()
    assert (found["taken"], found["refused"]) == (2, 0)
    rest = feedback(shared, {"receipt": receipts[1], "label": "low"}, {"receipt": receipts[0], "label": "low"})
    assert (rest["repeated"], rest["taken"]) == (1, 1)


LONG = [[0.9, 0.5]] * 1099 + [[9.0, 0.5]]  # the last row, in another block than the first, is out of range
WHOLE = {
    "json": (JSON, orjson.dumps({"instances": LONG, "ids": ["again"] * 1100})),
    "csv": (CSV, b"order,left,right\n" + b"".join(b"again,%g,%g\n" % (left, right) for left, right in LONG)),
    "bad csv": (CSV, b"order,left,right\n" + b"again,0.9,0.5\n" * 1099 + b"again,x,0.5\n"),
}


@pytest.mark.parametrize(("kind", "content"), WHOLE.values(), ids=WHOLE.keys())
def test_ids_of_a_refused_request_stand_for_the_rows_that_had_them_before(
    kind: str, content: bytes, shared: TestClient
) -> None:
    answered = shared.post("/predict/means", json={"instances": ROWS[:1], "ids": ["again"]}).json()["predictions"]

    refused = predict(shared, content, kind, "?strict=true" + "&id_column=order" * (kind == CSV))

    assert_problem(refused, 422)
    assert feedback(shared, {"id": "again", "label": "low"})["taken"] == 1
    assert feedback(shared, {"receipt": answered[0]["receipt"], "label": "low"})["repeated"] == 1


def test_ids_of_rows_that_were_answered_before_a_bad_one_arrived_are_kept(shared: TestClient) -> None:
    rows = b"".join(b"part-%d,0.9,0.5\n" % row for row in range(600))

    answer = predict(shared, iter((b"order,left,right\n" + rows + b"part-600,x,0.5\n",)), CSV)

    assert b"# error: line 602" in answer.content
    found = feedback(shared, {"id": "part-0", "label": "low"}, {"id": "part-599", "label": "low"})
    assert (found["taken"], [one["row"] for one in found["errors"]]) == (1, [1])


def test_what_is_no_id_is_refused_with_its_place(shared: TestClient) -> None:
    for ids, feature in (([1.5, "a"], "ids.0"), (["a", "x" * 129], "ids.1"), (["a"], "ids"), ({}, "ids"), ([], "ids")):
        answer = shared.post("/predict/means", json={"instances": ROWS, "ids": ids})
        assert assert_problem(answer, 422)["errors"][0]["feature"] == feature
    for content, kind in ((b"left,right\n1,1", CSV), (arrow_table(left=[0.5], right=[0.5]), ARROW)):
        assert assert_problem(predict(shared, content, kind), 422)["errors"][0]["feature"] == "id_column"
    bad = predict(shared, b"order,left,right\na,0.9,0.5\n" + b"x" * 129 + b",0.1,0.3\n", CSV)
    assert assert_problem(bad, 422)["errors"] == [
        {
            "row": 3,
            "feature": "order",
            "problem": "must be a text of at most 128 printable characters, or a whole number",
        }
    ]
    lines = predict(shared, b'{"left": 0.9, "right": 0.5, "order": "a"}\n[0.1, 0.3]\n', NDJSON)
    assert assert_problem(lines, 422)["errors"][0]["row"] == 2
    assert_problem(predict(shared, b"", FLOAT32), 422)
    assert_problem(shared.post("/predict/means?id_column=order", json={"instances": ROWS}), 422)


def test_ids_are_refused_where_none_are_kept(steady: TestClient) -> None:
    beside = steady.post("/predict/means", json={"instances": ROWS, "ids": ["a", "b"]})
    assert "keeps no ids (TABSERVE_FEEDBACK_ID_DAYS is 0)" in assert_problem(beside, 422)["detail"]
    assert_problem(predict(steady, b"order,left,right\na,0.9,0.5\n", CSV), 422)
    refused = feedback(steady, {"id": "a", "label": "low"})["errors"]
    assert "this service keeps no ids (TABSERVE_FEEDBACK_ID_DAYS=0)" in refused[0]["problem"]


def test_an_answered_id_outlives_the_service(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    settings = settings_in(tmp_path, feedback_id_days=1)
    with TestClient(create_app(settings)) as first:
        assert first.post("/predict/means", json={"instances": ROWS, "ids": ["a", None]}).status_code == 200
    with TestClient(create_app(settings)) as second:
        assert feedback(second, {"id": "a", "label": "low"})["taken"] == 1


def test_nothing_is_predicted_while_ids_cannot_be_kept(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    (tmp_path / "state").write_text("no folder")
    with TestClient(create_app(settings_in(tmp_path, feedback_id_days=1)), raise_server_exceptions=False) as client:
        answer = client.post("/predict/means", json={"instances": ROWS, "ids": ["a", "b"]})
        assert_problem(answer, 503)
        assert client.post("/predict/means", json={"instances": ROWS}).status_code == 200
