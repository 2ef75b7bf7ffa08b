"""Every format: rows arrive as sent, and probabilities as computed, bit for bit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, NoReturn

import httpx2
import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.inference.batch_predictions import BatchClassification
from app.inference.codecs import formats, ndjson
from app.inference.codecs.csv import TAB_SEPARATED
from app.inference.codecs.formats import BulkOptions
from app.inference.codecs.json import read_request, read_rows
from app.inference.codecs.json_answers import ColumnsWriter
from app.inference.codecs.oip import InferRequest, Output, Tensor
from app.inference.codecs.oip_answers import InferWriter
from app.inference.predictions import Predictions
from app.schema import Float32, ModelSchema
from tests.app import oip
from tests.app.tables import BODIES, CSV, FLOAT32, IDS, JSON, STREAMED, as_csv, probabilities, read, schema_of
from tests.properties import examples

LARGEST = float(np.finfo(np.float32).max)

# Any name but those that a CSV header cannot hold: it is one line, and spaces around a name do not count.
names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=8).filter(
    lambda name: name == name.strip()
)
labels = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
    | st.sampled_from(["100 %", "%s", '"', "\\", "\n", "\r", ",", "{}", "naïve", "}},{", "null", "NaN"]),
    min_size=2,
    max_size=5,
    unique=True,
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], Float32]:
    """Return names of features and rows with any float32 values, the smallest, largest and -0.0 among them."""
    features = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    shape = (draw(st.integers(1, 9)), len(features))
    return features, draw(arrays(np.float32, shape, elements=st.floats(-LARGEST, LARGEST, width=32)))


def written(kind: str, x: Float32, features: Sequence[str]) -> bytes:
    """Return the rows as a body, names with commas and quotes in a CSV header included."""
    if kind != CSV:
        return BODIES[kind](x, features)
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(features)
    return header.getvalue().encode() + as_csv(x, features).partition(b"\n")[2]


@pytest.mark.parametrize("kind", STREAMED, ids=IDS.get)
@examples(20)
@hypothesis.given(tables(), st.data())
def test_rows_come_as_they_were_sent_wherever_the_body_is_cut(
    kind: str, table: tuple[list[str], Float32], data: st.DataObject
) -> None:
    features, x = table
    body = written(kind, x, features)
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=6))

    found, wrong = read(formats.readers()[kind](schema_of(features), BulkOptions()), body, cuts)

    assert not wrong
    assert np.array(found, dtype=np.float32).tobytes() == x.tobytes()


@examples(20)
@hypothesis.given(tables(), st.booleans())
def test_rows_in_json_come_as_they_were_sent(table: tuple[list[str], Float32], by_name: bool) -> None:
    features, x = table
    rows: list[Any] = [dict(zip(features, row, strict=True)) for row in x.tolist()] if by_name else x.tolist()

    found = read_rows(read_request(json.dumps({"instances": rows}).encode()), schema_of(features))

    assert found.tobytes() == x.tobytes()


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[str], Float32]:
    """Return classes and probabilities."""
    classes = draw(labels)
    shape = (draw(st.integers(1, 6)), len(classes))
    return classes, draw(arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))


def blocks(schema: ModelSchema, matrix: Float32) -> list[Predictions]:
    """Return an answer of all rows as two, the first of which may have none."""
    batch = BatchClassification(schema, np.full((len(matrix), 2), 0.5, dtype=np.float32), matrix)
    half = len(matrix) // 2
    return [Predictions(batch, start, stop) for start, stop in ((0, half), (half, len(matrix))) if start < stop]


def not_json(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [JSON, *STREAMED], ids=IDS.get)
@examples(20)
@hypothesis.given(answers())
def test_probabilities_are_written_as_they_were_computed(kind: str, answered: tuple[list[str], Float32]) -> None:
    classes, matrix = answered
    schema = schema_of(("left", "right"), classes)
    writer = formats.writers()[kind](schema, BulkOptions(), ())

    body = b"".join([writer.head(), *map(writer.rows, blocks(schema, matrix)), writer.tail()])

    assert probabilities(kind, body, classes).tobytes() == matrix.tobytes()
    if kind == JSON:
        json.loads(body, parse_constant=not_json)


@examples(20)
@hypothesis.given(answers())
def test_columns_hold_the_probabilities_as_they_were_computed(answered: tuple[list[str], Float32]) -> None:
    classes, matrix = answered
    schema = schema_of(("left", "right"), classes)
    writer = ColumnsWriter(schema)

    body = b"".join([writer.head(), *map(writer.rows, blocks(schema, matrix)), writer.tail()])

    found = json.loads(body, parse_constant=not_json)
    assert found["classes"] == classes
    assert np.array(found["probabilities"], dtype=np.float32).tobytes() == matrix.tobytes()
    assert found["labels"] == [classes[column] for column in matrix.argmax(axis=1)]


@examples(20)
@hypothesis.given(answers(), st.lists(st.booleans(), min_size=3, max_size=3), st.none() | st.text(max_size=4))
def test_tensors_hold_the_probabilities_as_they_were_computed(
    answered: tuple[list[str], Float32], binary: list[bool], name: str | None
) -> None:
    classes, matrix = answered
    schema = schema_of(("left", "right"), classes)
    wanted = tuple(map(Output, ("probabilities", "label", "class_index"), binary))
    writer = InferWriter(InferRequest(name, (Tensor("features", "FP32", (1, 2)),), wanted), schema)

    body = b"".join([writer.head(), *map(writer.rows, blocks(schema, matrix)), writer.tail()])

    headers = {} if writer.json_bytes is None else {oip.JSON_BYTES: str(writer.json_bytes)}
    found = oip.outputs_of(httpx2.Response(200, content=body, headers=headers))
    document = json.loads(body[: writer.json_bytes], parse_constant=not_json)
    assert document.get("id") == name
    assert found["probabilities"].tobytes() == matrix.tobytes()
    assert found["class_index"].tolist() == matrix.argmax(axis=1).tolist()
    assert found["label"].tolist() == [classes[column] for column in matrix.argmax(axis=1)]


def test_all_formats_are_here() -> None:
    assert set(formats.readers()) == {*STREAMED, *ndjson.CONTENT_TYPES, TAB_SEPARATED}
    assert set(formats.writers()) == {JSON, *STREAMED, *ndjson.CONTENT_TYPES}
    assert FLOAT32 in STREAMED
