"""Sets, intervals and decisions in every format.

`means` answers the mean of its row for `high`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from app.main import create_app
from modelstore import AbstainPolicy, Conformal, Decision, ModelRepository
from modelstore.trust import ClassScores, Spread
from tests.app.oip import outputs_of
from tests.app.problems import assert_problem
from tests.app.tables import ARROW, CSV, FLOAT32, NDJSON
from tests.app.typed import publish_typed
from tests.fakes import publish
from tests.settings import settings_in

TENTHS = tuple(place / 10 for place in range(1, 10))  # scores of nine rows: at 80 %, up to 0.8 is admitted
SPLIT = Conformal(
    score="lac", rows=9, source="split", guarantee="marginal", scores=TENTHS, test_coverage={"0.9": (3, 4)}
)
BY_CLASS = Conformal(
    score="lac",
    rows=13,
    source="split",
    guarantee="class",
    per_class={"low": ClassScores(rows=9, scores=TENTHS), "high": ClassScores(rows=4, scores=(0.1, 0.2, 0.3, 0.4))},
)
SPREAD = Spread(values=(0.0, 30_000.0), spreads=(1.0, 31.0))
SCALED = Conformal(
    score="scaled", rows=4, source="out_of_fold", guarantee="approximate", scores=(1, 2, 3, 4), spread=SPREAD
)
ROWS = [[0.9, 0.9], [0.5, 0.5], [0.1, 0.2], [2.0, 0.0]]  # high 0.9, 0.5, 0.15, and 1 from outside the training range
TABLE = "left,right\n" + "".join(f"{left},{right}\n" for left, right in ROWS)
QUANTITY = "age,plan,paid,since,sum\n20,basic,Yes,2020-01-02,7\n900,basic,Yes,2020-01-02,7\n"
SETS = [["high"], ["low", "high"], ["low"], ["high"]]  # at 80 %: a probability of at least 0.2
DECIDED = [("high", None), (None, "low_confidence"), ("low", None), (None, "out_of_range")]
ABSTAIN: dict[str, Any] = {"below": 0.8, "out_of_range": True}


@pytest.fixture(scope="module")
def sure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("sure")
    repository = ModelRepository(folder / "models")
    publish(repository, conformal=SPLIT)
    publish(repository, "by-class", conformal=BY_CLASS)
    publish(repository, "old")
    publish(repository, "careful", conformal=SPLIT, abstain=AbstainPolicy(below=0.8, out_of_range=True))
    publish(repository, "decided", decision=Decision(threshold=0.1), abstain=AbstainPolicy(below=0.3))
    publish_typed(repository, "regression", conformal=SCALED)
    with TestClient(create_app(settings_in(folder)), raise_server_exceptions=False) as client:
        yield client


def ask(client: TestClient, model: str = "means", rows: object = ROWS, **options: object) -> dict[str, Any]:
    answer = client.post(f"/predict/{model}", json={"instances": rows, **options})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_set_holds_the_classes_that_are_probable_enough_and_the_answer_says_its_guarantee_once(
    sure: TestClient,
) -> None:
    answer = ask(sure, confidence=0.8)

    assert [row["set"] for row in answer["predictions"]] == SETS
    assert (answer["guarantee"], "reason" in answer) == ("marginal", False)
    plain = ask(sure)
    for row in answer["predictions"]:
        del row["set"]
    assert answer == plain | {"guarantee": "marginal"}


def test_sets_of_higher_confidence_hold_those_of_lower_and_an_empty_one_is_answered_as_it_is(sure: TestClient) -> None:
    sets = {level: [set(row["set"]) for row in ask(sure, confidence=level)["predictions"]] for level in (0.3, 0.5, 0.9)}

    assert sets[0.3] == [{"high"}, set(), {"low"}, {"high"}]
    for lower, higher in ((0.3, 0.5), (0.5, 0.9)):
        assert all(small <= large for small, large in zip(sets[lower], sets[higher], strict=True))


def test_too_few_rows_for_a_level_give_all_classes_and_the_reason(sure: TestClient) -> None:
    answer = ask(sure, confidence=0.95)
    assert [row["set"] for row in answer["predictions"]] == [["low", "high"]] * 4
    assert answer["reason"] == (
        "every set holds all classes: scores of 9 rows are known, fewer than the 19 that a confidence of 0.95 needs"
    )
    one = ask(sure, "by-class", confidence=0.85)
    assert [row["set"] for row in one["predictions"]] == [["low", "high"]] * 3 + [["high"]]
    assert (one["guarantee"], "every set holds high" in one["reason"]) == ("class", True)


def test_an_interval_is_scaled_by_the_spread_of_its_answer(sure: TestClient) -> None:
    rows = [[20, "basic", True, "2020-01-02T00:00:30", "7"]]
    (row,) = ask(sure, "typed", rows, confidence=0.6)["predictions"]

    reach = 3 * (1 + row["value"] / 1000)  # the third of four scores
    assert row["interval"] == pytest.approx([row["value"] - reach, row["value"] + reach], rel=1e-6)
    unbounded = ask(sure, "typed", rows, confidence=0.9)
    assert unbounded["predictions"][0]["interval"] == [None, None]
    assert unbounded["reason"].startswith("every interval is unbounded: scores of 4 rows are known, fewer than the 9")


def test_no_class_is_decided_for_an_unsure_row_and_its_label_stays(sure: TestClient) -> None:
    answer = ask(sure, abstain=ABSTAIN)

    assert [(row["decision"], row.get("abstained")) for row in answer["predictions"]] == DECIDED
    assert [row["label"] for row in answer["predictions"]] == ["high", "low", "low", "high"]
    by_set = ask(sure, confidence=0.8, abstain={"below": 0.1})["predictions"]
    assert [row.get("abstained") for row in by_set] == [None, "ambiguous_set", None, None]
    empty = ask(sure, abstain={"confidence": 0.3})
    assert [row.get("abstained") for row in empty["predictions"]] == [None, "empty_set", None, None]
    assert empty["guarantee"] == "marginal"


def test_a_version_abstains_by_its_own_policy_unless_a_request_says_otherwise(sure: TestClient) -> None:
    own = ask(sure, "careful")["predictions"]
    assert [(row["decision"], row.get("abstained")) for row in own] == DECIDED
    assert ask(sure, "careful", rows=[ROWS[1]])["predictions"][0]["abstained"] == "low_confidence"  # alone, too
    never = ask(sure, "careful", abstain=False)
    assert never["predictions"] == ask(sure)["predictions"]
    other = ask(sure, "careful", abstain={"below": 0.4})["predictions"]
    assert not any("abstained" in row for row in other)


def test_beside_a_decision_the_policy_is_said_once_and_decision_is_the_class(sure: TestClient) -> None:
    answer = ask(sure, "decided")
    assert answer["policy"] == "threshold 0.1"
    assert [row["decision"] for row in answer["predictions"]] == ["high", "high", None, "high"]
    table = sure.post("/predict/decided", content=TABLE, headers={"content-type": CSV}).text
    lines = list(csv.DictReader(io.StringIO(table)))
    assert [line["decision"] for line in lines] == ["high", "high", "", "high"]
    assert {line["policy"] for line in lines} == {"threshold 0.1"}
    columns = sure.post("/predict/decided?layout=columns", json={"instances": ROWS}).json()
    assert (columns["decision"], columns["policy"]) == (["high", "high", None, "high"], "threshold 0.1")
    stream = sure.post("/predict/decided", content=TABLE, headers={"content-type": CSV, "accept": ARROW}).content
    arrow = pa.ipc.open_stream(stream).read_all()
    assert arrow.schema.metadata == {b"policy": b"threshold 0.1"}
    assert arrow["decision"].to_pylist() == ["high", "high", None, "high"]
    inputs = [{"name": "features", "datatype": "FP32", "shape": [4, 2], "data": ROWS}]
    assert sure.post("/v2/models/decided/infer", json={"inputs": inputs}).json()["parameters"] == {
        "policy": "threshold 0.1"
    }


def test_tables_have_columns_for_sets_decisions_and_reasons(sure: TestClient) -> None:
    path = "/predict/means?confidence=0.8&abstain_below=0.8&abstain_out_of_range=true"
    table = sure.post(path, content=TABLE, headers={"content-type": CSV}).text
    lines = list(csv.DictReader(io.StringIO(table)))
    assert list(lines[0])[-4:] == ["set", "decision", "abstained", "guarantee"]
    arrow = sure.post(path, content=TABLE, headers={"content-type": CSV, "accept": ARROW}).content
    columns = pa.ipc.open_stream(arrow).read_all()
    by_column = sure.post(path + "&layout=columns", json={"instances": ROWS}).json()
    for row, (members, (label, reason)) in enumerate(zip(SETS, DECIDED, strict=True)):
        expected = ("|".join(members), label, reason)
        assert tuple(lines[row][name] or None for name in ("set", "decision", "abstained")) == expected
        assert tuple(columns[name][row].as_py() for name in ("set", "decision", "abstained")) == expected
        assert tuple(by_column[name][row] for name in ("set", "decision", "abstained")) == expected
        assert lines[row]["guarantee"] == "marginal"
    assert columns.schema.metadata[b"guarantee"] == b"marginal"
    assert by_column["guarantee"] == "marginal"


def test_tables_have_columns_for_the_ends_of_intervals(sure: TestClient) -> None:
    table = "age,plan,paid,since,sum\n20,basic,Yes,2020-01-02,7\n"
    paths = [f"/predict/typed?confidence={level}" for level in (0.6, 0.9)]
    texts = [sure.post(path, content=table, headers={"content-type": CSV}).text for path in paths]
    bounded, unbounded = (next(csv.DictReader(io.StringIO(text))) for text in texts)
    low, value, high = (float(bounded[name]) for name in ("low", "value", "high"))
    assert low < value < high
    assert (unbounded["low"], unbounded["high"]) == ("", "")
    assert "unbounded" in unbounded["reason"]


@pytest.mark.parametrize(("wider", "reason"), [(1e6, None), (1, "wide_interval")])
def test_no_value_is_decided_where_its_interval_is_too_wide_or_its_row_out_of_range(
    wider: float, reason: str | None, sure: TestClient
) -> None:
    path = f"/predict/typed?abstain_wider={wider}&abstain_confidence=0.6&abstain_out_of_range=true"
    rows = [[20, "basic", True, "2020-01-02", "7"], [900, "basic", True, "2020-01-02", "7"]]
    answer = sure.post(path, json={"instances": rows}).json()
    near, far = answer["predictions"]
    assert answer["guarantee"] == "approximate"
    assert (near["decision"], near.get("abstained")) == (near["value"] if reason is None else None, reason)
    assert (far["decision"], far["abstained"]) == (None, "out_of_range")

    table = sure.post(path, content=QUANTITY, headers={"content-type": CSV}).text
    lines = list(csv.DictReader(io.StringIO(table)))
    assert [line["abstained"] or None for line in lines] == [reason, "out_of_range"]
    assert [line["decision"] for line in lines] == [lines[0]["value"] if reason is None else "", ""]
    arrow = sure.post(path, content=QUANTITY, headers={"content-type": CSV, "accept": ARROW}).content
    decided = pa.ipc.open_stream(arrow).read_all()["decision"]
    assert decided.type == pa.float32()
    assert decided.to_pylist() == [near["decision"] and pytest.approx(near["value"]), None]


def test_every_line_of_json_says_all(sure: TestClient) -> None:
    body = b"".join(orjson.dumps(row) + b"\n" for row in ROWS)
    answer = sure.post(
        "/predict/means?confidence=0.8&abstain_below=0.8", content=body, headers={"content-type": NDJSON}
    )

    lines = [orjson.loads(line) for line in answer.text.splitlines()]
    assert [line["set"] for line in lines] == SETS
    assert [line.get("abstained") for line in lines] == [None, "low_confidence", None, None]
    assert {line["guarantee"] for line in lines} == {"marginal"}


@pytest.mark.parametrize("binary", [False, True])
def test_the_open_inference_protocol_has_outputs_for_them(binary: bool, sure: TestClient) -> None:
    parameters = {"confidence": 0.8, "abstain_below": 0.8, "binary_data_output": binary}
    inputs = [{"name": "features", "datatype": "FP32", "shape": [4, 2], "data": ROWS}]
    answer = sure.post("/v2/models/means/infer", json={"inputs": inputs, "parameters": parameters})

    found = outputs_of(answer)
    assert list(found) == ["probabilities", "label", "class_index", "set", "decision", "abstained"]
    assert np.ravel(found["set"]).tolist() == ["|".join(members) for members in SETS]
    nothing = "" if binary else None
    assert np.ravel(found["decision"]).tolist() == ["high", nothing, "low", "high"]
    unasked = sure.post("/v2/models/means/infer", json={"inputs": inputs, "outputs": [{"name": "set"}]})
    assert "the parameter confidence asks for it" in unasked.json()["error"]


def test_a_bad_row_has_neither_a_set_nor_a_decision(sure: TestClient) -> None:
    path = "/predict/means?confidence=0.8&abstain_below=0.8&on_error=skip"
    answer = sure.post(path, content=TABLE + "x,1\n", headers={"content-type": CSV}).text

    lines = list(csv.DictReader(io.StringIO(answer)))
    assert [line["set"] for line in lines] == [*["|".join(members) for members in SETS], ""]
    assert [line["decision"] for line in lines] == ["high", "", "low", "high", ""]
    assert lines[-1]["error"]


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("old", {"confidence": 0.9}, "confidence: version 1 of old has no scores of held-out rows"),
        ("old", {"abstain": {"confidence": 0.9}}, "abstain.confidence: version 1 of old has no scores"),
        ("means", {"confidence": 1}, "confidence: must be a number between 0 and 1"),
        ("means", {"confidence": True}, "confidence: must be a number between 0 and 1"),
        (
            "means",
            {"abstain": True},
            "abstain: must be false, or an object with below, confidence, wider, out_of_range",
        ),
        ("means", {"abstain": {"under": 0.8}}, "abstain: has a field that is not known"),
        ("means", {"abstain": {"below": 0}}, "abstain.below: must be a number above 0"),
        ("means", {"abstain": {"wider": 1, "confidence": 0.9}}, "abstain.wider: does not fit; expected below"),
        ("typed", {"abstain": {"below": 0.8}}, "abstain.below: does not fit; expected out_of_range"),
        ("typed", {"abstain": {"confidence": 0.8}}, "abstain.confidence: does not fit; expected out_of_range"),
        ("typed", {"abstain": {"wider": 10}}, "abstain.confidence: must be said beside abstain.wider"),
        ("typed", {"abstain": {"wider": 0, "confidence": 0.9}}, "abstain.wider: must be a number above 0"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_words(
    model: str, options: dict[str, object], words: str, sure: TestClient
) -> None:
    row = ROWS[0] if model != "typed" else [20, "basic", True, "2020-01-02", "7"]
    answer = sure.post(f"/predict/{model}", json={"instances": [row], **options})

    assert words in assert_problem(answer, 422)["detail"]


@pytest.mark.parametrize(
    ("model", "query", "named"),
    [
        ("old", {"confidence": 0.9}, "confidence"),
        ("old", {"abstain_confidence": 0.9}, "abstain_confidence"),
        ("old", {"abstain_below": 0.5, "confidence": 0.9}, "confidence"),
        ("means", {"abstain_wider": 1, "abstain_confidence": 0.9}, "abstain_wider"),
    ],
)
def test_what_cannot_be_answered_is_named_as_the_query_or_the_parameters_have_it(
    model: str, query: dict[str, float], named: str, sure: TestClient
) -> None:
    answer = sure.post(f"/predict/{model}", params=query, json={"instances": ROWS})
    inputs = [{"name": "features", "datatype": "FP32", "shape": [4, 2], "data": ROWS}]
    protocol = sure.post(f"/v2/models/{model}/infer", json={"inputs": inputs, "parameters": query})

    assert assert_problem(answer, 422)["errors"][0]["feature"] == named
    assert protocol.json()["error"].startswith(f"parameters.{named}: ")


def test_a_model_says_whose_scores_it_has_and_its_coverage_without_the_scores(sure: TestClient) -> None:
    expected = {
        "score": "lac",
        "rows": 9,
        "source": "split",
        "guarantee": "marginal",
        "test_coverage": {"0.9": {"share": 0.75, "rows": 4, "interval": pytest.approx([0.301, 0.954], abs=1e-3)}},
    }
    model, version = (sure.get(path).json() for path in ("/models/careful", "/models/careful/versions/1"))
    assert model["conformal"] == version["conformal"] == expected
    assert (
        model["abstain"]
        == version["abstain"]
        == {"below": 0.8, "confidence": None, "wider": None, "out_of_range": True}
    )
    assert sure.get("/models/old").json()["conformal"] is None
    assert 'tabserve_model_coverage{model="careful",version="1",confidence="0.9"} 0.75' in sure.get("/metrics").text


def test_raw_numbers_have_no_room_for_the_decisions_of_a_version(sure: TestClient) -> None:
    refused = sure.post("/predict/careful", json={"instances": ROWS}, headers={"accept": FLOAT32})
    assert "ask for another format" in assert_problem(refused, 422)["detail"]
    plain = sure.post("/predict/careful?abstain=false", json={"instances": ROWS}, headers={"accept": FLOAT32})
    assert np.frombuffer(plain.content, "<f4").reshape(4, 2)[:, 1] == pytest.approx([0.9, 0.5, 0.15, 1])
