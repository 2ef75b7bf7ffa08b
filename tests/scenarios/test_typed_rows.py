"""Rows of typed columns: the same bits in every format and batch; hostile cells refused."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from modelstore import BooleanFeature, CategoricalFeature, DatetimeFeature, Feature, ModelRepository
from modelstore.features import MISSING_VALUES
from tests.properties import examples
from tests.typed import BODIES, SCHEMAS, Infer, Row, expected, oip_binary, oip_json, publish_typed

ROWS = 20


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("typed")
    publish_typed(ModelRepository(folder / "models"))
    settings = Settings(
        models_dir=folder / "models", state_dir=folder / "state", datasets_dir=folder / "datasets", device="cpu"
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def unseen(feature: CategoricalFeature) -> st.SearchStrategy[str]:
    words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)
    words |= st.sampled_from(["two\nlines", "a\rb", 'a "quote",\r\nand more'])
    return words.map(str.strip).filter(lambda text: text not in MISSING_VALUES and text not in feature.categories)


def values(feature: Feature) -> st.SearchStrategy[Any]:
    """Return values of a column, a third of them gaps; numbers are ones that float32 holds."""
    if isinstance(feature, CategoricalFeature):
        return st.none() | st.sampled_from(list(feature.categories)) | unseen(feature)
    if isinstance(feature, BooleanFeature):
        return st.sampled_from([None, True, False])
    if isinstance(feature, DatetimeFeature):
        moments = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2199, 12, 31, 23, 59, 59))
        return st.none() | moments.map(lambda moment: moment.replace(microsecond=0, fold=0))
    return st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, list[Row]]:
    name = draw(st.sampled_from(list(SCHEMAS)))
    row = st.tuples(*map(values, SCHEMAS[name]))
    return name, draw(st.lists(row, min_size=1, max_size=ROWS))


def predict(client: TestClient, name: str, form: str, rows: list[Row]) -> bytes:
    """Return the bits of the probabilities."""
    kind, body = BODIES[form]
    headers = {"content-type": kind, "accept": "application/json"}
    answer = client.post(f"/predict/{name}", content=body(SCHEMAS[name], rows), headers=headers)
    assert answer.status_code == 200, f"{form}: {answer.text[:500]}"
    found = [list(each["probabilities"].values()) for each in answer.json()["predictions"]]
    return bytes(np.array(found, dtype="<f4").tobytes())


def infer(client: TestClient, name: str, asked: Infer) -> bytes:
    headers = {"content-type": "application/json"}
    if asked.json_bytes is not None:
        headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(asked.json_bytes)}
    answer = client.post(f"/v2/models/{name}/infer", content=asked.body, headers=headers)
    assert answer.status_code == 200, answer.text[:500]
    (found,) = (each for each in answer.json()["outputs"] if each["name"] == "probabilities")
    return bytes(np.array(found["data"], dtype="<f4").tobytes())


@examples(20)
@given(table=tables())
def test_rows_get_the_same_bits_in_every_format_alone_and_together(
    client: TestClient, table: tuple[str, list[Row]]
) -> None:
    name, rows = table
    wanted = expected(SCHEMAS[name], rows)

    found = {form: predict(client, name, form, rows) for form in BODIES}
    found["OIP in JSON"] = infer(client, name, oip_json(SCHEMAS[name], rows))
    found["OIP in binary"] = infer(client, name, oip_binary(SCHEMAS[name], rows))
    found["alone"] = b"".join(predict(client, name, "JSON objects", [row]) for row in rows[:3])

    assert found.pop("alone") == wanted[: 8 * min(3, len(rows))]
    assert {form: bits == wanted for form, bits in found.items()} == dict.fromkeys(found, True)


HOSTILE = {
    "object": "{}",
    "array": "[]",
    "nested": "[[[[[[[[1]]]]]]]]",
    "long text": json.dumps("x" * 100_000),
    "NUL": '"\\u0000"',
    "half a surrogate": '"\\ud800"',
    "number beyond float64": "1e999",
    "long integer": "9" * 400,
    "no number": '"--5"',
    "number of other digits": '"\u0661\u0662"',
    "date that is none": '"2024-02-30"',
    "date of year 0": '"0000-01-01"',
    "date with a long fraction": '"2024-01-01T00:00:00.' + "1" * 500 + '"',
    "direction mark": '"\u202ered"',
    "infinity": '"Infinity"',
    "formula": '"=1+1"',
}


@pytest.mark.parametrize("cell", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("column", range(4), ids=[feature.type for feature in SCHEMAS["mixed"]])
def test_hostile_cell_is_refused_with_its_place_or_answered(client: TestClient, column: int, cell: str) -> None:
    cells = ["0.5", '"red"', "true", '"2020-01-01"']
    cells[column] = cell
    body = f'{{"instances": [[0.5, "red", true, "2020-01-01"], [{",".join(cells)}]]}}'.encode()

    answer = client.post("/predict/mixed", content=body, headers={"content-type": "application/json"})

    feature = SCHEMAS["mixed"][column]
    assert answer.status_code in (200, 400, 422), answer.text[:300]
    if answer.status_code == 422:
        assert (answer.json()["errors"][0]["row"], answer.json()["errors"][0]["feature"]) == (1, feature.name)
    if feature.type != "categorical":
        assert answer.status_code != 200, answer.text[:300]


ANY = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@examples(35)
@given(row=st.lists(ANY, min_size=3, max_size=5))
def test_anything_as_a_row_is_answered_or_refused(client: TestClient, row: list[Any]) -> None:
    body = json.dumps({"instances": [row]}).encode()

    answer = client.post("/predict/mixed", content=body, headers={"content-type": "application/json"})

    assert answer.status_code in (200, 400, 422), answer.text[:300]


@examples(20)
@given(line=st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_line_of_csv_is_answered_or_refused(client: TestClient, line: str) -> None:
    body = f"size,colour,paid,joined\n0.5,red,yes,2020-01-01\n{line}\n".encode()

    answer = client.post("/predict/mixed", content=body, headers={"content-type": "text/csv"})

    assert answer.status_code in (200, 400, 422), answer.text[:300]
