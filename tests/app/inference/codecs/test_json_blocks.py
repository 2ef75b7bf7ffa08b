"""Large JSON bodies, read in blocks if they are plain: the same answer as read whole."""

from __future__ import annotations

import json
import re

import numpy as np
import orjson
import pytest
from starlette.testclient import TestClient

from app.inference.codecs.json import BLOCK_BYTES
from app.schema import Float32
from tests.app.problems import assert_problem
from tests.app.tables import ARROW, BODIES, CSV, FLOAT32, IDS, JSON, NDJSON, probabilities, rows

ROWS = 3000


def body_of(listed: object, *, whole: bool = False) -> bytes:
    """Return a large request; the one that names its model too is no plain one, so it is read as a whole."""
    body = orjson.dumps({"instances": listed, "model": "means"} if whole else {"instances": listed})
    assert len(body) > 4 * BLOCK_BYTES
    return body


def answer(client: TestClient, body: bytes, wanted: str = JSON, query: str = "") -> bytes:
    headers = {"content-type": JSON, "accept": wanted}
    answered = client.post(f"/predict/means{query}", content=body, headers=headers)
    assert answered.status_code == 200, answered.text[:500]
    assert int(answered.headers["content-length"]) == len(answered.content)
    return answered.content


def named(x: Float32) -> list[dict[str, float]]:
    return [{"left": left, "right": right} for left, right in x.tolist()]


@pytest.mark.parametrize("query", ["", "?layout=columns"], ids=["rows", "columns"])
@pytest.mark.parametrize("by_name", [False, True], ids=["by position", "by name"])
def test_same_bytes_as_read_whole(steady: TestClient, by_name: bool, query: str) -> None:
    listed = named(rows(ROWS)) if by_name else rows(ROWS).tolist()

    in_blocks = answer(steady, body_of(listed), query=query)

    assert in_blocks == answer(steady, body_of(listed, whole=True), query=query)


@pytest.mark.parametrize("wanted", [CSV, NDJSON, FLOAT32], ids=IDS.get)
def test_same_bytes_as_read_whole_in_other_formats(steady: TestClient, wanted: str) -> None:
    listed = rows(ROWS).tolist()

    assert answer(steady, body_of(listed), wanted) == answer(steady, body_of(listed, whole=True), wanted)


def test_same_values_as_read_whole_in_arrow(steady: TestClient) -> None:
    x = rows(ROWS)
    blocks, whole = answer(steady, body_of(x.tolist()), ARROW), answer(steady, body_of(x.tolist(), whole=True), ARROW)

    assert probabilities(ARROW, blocks).tobytes() == probabilities(ARROW, whole).tobytes()


def test_spaces_make_no_difference(steady: TestClient) -> None:
    listed = rows(ROWS).tolist()
    spaced = json.dumps({"instances": listed}, indent=1).encode()

    assert answer(steady, spaced) == answer(steady, body_of(listed))


def test_columns_are_the_same_numbers_as_rows(steady: TestClient) -> None:
    body = body_of(rows(ROWS).tolist())
    columns = json.loads(answer(steady, body, query="?layout=columns"))
    by_row = probabilities(JSON, answer(steady, body))

    assert list(columns) == ["model", "version", "classes", "probabilities", "labels"]
    assert columns["classes"] == ["low", "high"]
    assert np.array(columns["probabilities"], np.float32).tobytes() == by_row.tobytes()
    assert columns["labels"] == [columns["classes"][best] for best in by_row.argmax(axis=1)]


@pytest.mark.parametrize("query", ["", "?layout=columns"], ids=["rows", "columns"])
def test_warnings_are_counted_over_all_blocks(steady: TestClient, query: str) -> None:
    x = rows(ROWS)
    x[::20, 1] = 7
    in_blocks = answer(steady, body_of(x.tolist()), query=query)

    assert in_blocks == answer(steady, body_of(x.tolist(), whole=True), query=query)
    document = json.loads(in_blocks)
    assert [warning["row"] for warning in document["warnings"]] == list(range(0, 2000, 20))
    assert document["warnings_omitted"] == 50


PLACES = [0, ROWS // 2, ROWS - 1]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("bad", [[0.5], [0.5, None], [0.5, "1"], [0.5, True], [0.5, 1e39], None, {"left": 1}], ids=repr)
def test_bad_row_is_named_by_its_number_in_the_whole(steady: TestClient, bad: object, place: int) -> None:
    listed: list[object] = [*rows(ROWS).tolist()]
    listed[place] = bad

    in_blocks = assert_problem(
        steady.post("/predict/means", content=body_of(listed), headers={"content-type": JSON}), 422
    )

    whole = steady.post("/predict/means", content=body_of(listed, whole=True), headers={"content-type": JSON}).json()
    assert in_blocks["errors"][0]["row"] == place
    assert (in_blocks["detail"], in_blocks["errors"]) == (whole["detail"], whole["errors"])


@pytest.mark.parametrize(
    ("last", "answered"), [({"right": 0.5, "left": 0.25}, ROWS), (None, 0)], ids=["by name", "null"]
)
def test_rows_are_counted_once_if_the_last_is_one_for_another_reader(
    client: TestClient, last: object, answered: int
) -> None:
    body = body_of([*rows(ROWS - 1).tolist(), last])

    client.post("/predict/means", content=body, headers={"content-type": JSON})

    figures = client.get("/metrics").text
    counted = re.findall(r"^tabserve_inference_rows_total\{.*\} (\S+)$", figures, re.MULTILINE)
    assert sum(map(float, counted)) == answered


CUTS = {"an end too few": (b"]]}", b"]]"), "a comma too many": (b"]]}", b"],]}"), "more behind": (b"]]}", b"]]} 1")}


@pytest.mark.parametrize(("old", "new"), CUTS.values(), ids=CUTS.keys())
def test_damage_at_the_end_is_malformed(steady: TestClient, old: bytes, new: bytes) -> None:
    body = body_of(rows(ROWS).tolist()).replace(old, new)

    assert_problem(steady.post("/predict/means", content=body, headers={"content-type": JSON}), 400)


@pytest.mark.parametrize("count", [511, 512, 513, 1023, 1024, 1025, 2048, 2049])
def test_any_number_of_rows_gives_each_the_answer_it_gets_alone(steady: TestClient, count: int) -> None:
    x = rows(count)

    together = probabilities(JSON, answer_of_any_size(steady, x))

    assert together.shape == (count, 2)
    for row in {0, count // 2, count - 1}:
        alone = probabilities(JSON, answer_of_any_size(steady, x[row : row + 1]))
        assert together[row].tobytes() == alone[0].tobytes()


def answer_of_any_size(client: TestClient, x: Float32) -> bytes:
    return answer(client, BODIES[JSON](x, ("left", "right")))
