"""Arrow streams: types, nulls, order of columns, and no damage that is not noticed or does more than be refused."""

from __future__ import annotations

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies as st

from app.codecs.arrow import BLOCK_ROWS, ArrowReader, ArrowWriter
from app.errors import InvalidInput, MalformedBody, Problem
from app.scores import Answer, Scores
from tests.app.tables import arrow_stream, contract_of, outcome, read

CONTRACT = contract_of(("left", "right"))
TABLE = pa.table({"left": [1.0, 3.0, 5.0], "right": [2.0, 4.0, 6.0]})
ROWS = [[1, 2], [3, 4], [5, 6]]


def reader(*, ignore_extra: bool = False) -> ArrowReader:
    return ArrowReader(CONTRACT, ignore_extra=ignore_extra)


def refusal(data: bytes, *, ignore_extra: bool = False) -> InvalidInput | MalformedBody:
    with pytest.raises((InvalidInput, MalformedBody)) as refused:
        read(reader(ignore_extra=ignore_extra), data)
    error = refused.value
    assert isinstance(error, InvalidInput | MalformedBody)
    return error


@pytest.mark.parametrize("rows_per_batch", [None, 1, 2])
def test_same_rows_wherever_the_body_is_split(rows_per_batch: int | None) -> None:
    data = arrow_stream(TABLE, rows_per_batch)

    for step in (1, 2, 3, 5, 7, 8, 64, 100, 333, len(data)):
        assert read(reader(), data, step) == (ROWS, {}), step


def test_large_batches_come_in_blocks() -> None:
    x = np.arange(2 * (2 * BLOCK_ROWS + 100), dtype=np.float32).reshape(-1, 2)
    data = arrow_stream(pa.table({"left": x[:, 0].copy(), "right": x[:, 1].copy()}))

    source = reader()

    blocks = [b.x for at in range(0, len(data), 16 << 10) for b in source.feed(data[at : at + (16 << 10)])]
    blocks += [b.x for b in source.finish()]

    assert len(blocks) > 1
    assert max(map(len, blocks)) <= BLOCK_ROWS
    assert np.concatenate(blocks).tolist() == x.tolist()


NUMBERS = [pa.float16(), pa.float32(), pa.float64(), pa.int8(), pa.uint8(), pa.int32(), pa.uint64(), pa.int64()]


@pytest.mark.parametrize("kind", NUMBERS, ids=str)
def test_every_type_of_number_is_read(kind: pa.DataType) -> None:
    left = pa.array(np.array([1, 3, 5], dtype=kind.to_pandas_dtype()), kind)
    table = pa.table({"left": left, "right": [2, 4, 6]})

    assert read(reader(), arrow_stream(table)) == (ROWS, {})


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["1", "3", "5"]),
        pa.array([True, False, True]),
        pa.array([[1.0], [3.0], [5.0]]),
        pa.array(["1", "3", "5"]).dictionary_encode(),
        pa.array([1, 3, 5], pa.timestamp("s")),
        pa.nulls(3),
    ],
    ids=lambda column: str(column.type),
)
def test_column_that_is_no_number_is_refused_by_name(column: pa.Array) -> None:
    error = refusal(arrow_stream(pa.table({"left": column, "right": [2.0, 4.0, 6.0]})))

    assert isinstance(error, InvalidInput)
    assert error.problems[0].feature == "left"


def test_columns_may_come_in_any_order() -> None:
    assert read(reader(), arrow_stream(TABLE.select(["right", "left"]))) == (ROWS, {})


def test_missing_column_is_named() -> None:
    error = refusal(arrow_stream(TABLE.select(["left"])))

    assert isinstance(error, InvalidInput)
    assert error.problems == (Problem(None, "right", "is missing"),)


def test_unknown_columns_are_refused_or_ignored() -> None:
    data = arrow_stream(TABLE.append_column("note", pa.array(["a", None, "c"])))

    assert "1 unknown columns; add ?ignore_extra=true" in str(refusal(data))
    assert read(reader(ignore_extra=True), data) == (ROWS, {})


@pytest.mark.parametrize("ignore_extra", [False, True])
@pytest.mark.parametrize("name", ["left", "extra"])
def test_column_named_twice_is_refused(name: str, ignore_extra: bool) -> None:
    table = pa.Table.from_arrays([pa.array([1.0])] * 4, names=["left", "right", name, name])

    assert "names a column twice" in str(refusal(arrow_stream(table), ignore_extra=ignore_extra))


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 1e39], ids=str)
@pytest.mark.parametrize("name", ["left", "right"])
def test_null_and_what_is_not_finite_is_named_by_row_and_feature(value: float | None, name: str) -> None:
    row = BLOCK_ROWS + 200
    columns = {"left": [1.0] * (row + 9), "right": [2.0] * (row + 9), name: [0.5] * row + [value] + [0.5] * 8}

    blocks = list(reader().feed(arrow_stream(pa.table({k: pa.array(v, pa.float64()) for k, v in columns.items()}))))

    assert [block.bad for block in blocks] == [
        {},
        {200: Problem(row, name, "must be a finite number, not null")},
    ]
    assert blocks[1].x[200].tolist() == [0, 0]


def test_null_integer_is_a_bad_row_and_its_neighbours_are_exact() -> None:
    table = pa.table({"left": pa.array([1, None, 5], pa.int64()), "right": [2.0, 4.0, 6.0]})

    assert read(reader(), arrow_stream(table)) == (
        [[1, 2], [0, 0], [5, 6]],
        {1: "must be a finite number, not null"},
    )


@pytest.mark.parametrize("rows", [0, 3])
def test_stream_without_batches_or_with_empty_ones_has_no_rows(rows: int) -> None:
    data = arrow_stream(TABLE.slice(0, 0))
    if rows:
        batch = pa.record_batch([pa.array([], pa.float64())] * 2, names=["left", "right"])
        data = arrow_stream(pa.Table.from_batches([batch] * rows))

    assert read(reader(), data) == ([], {})


def test_stream_may_end_without_a_marker_between_two_messages() -> None:
    assert read(reader(), arrow_stream(TABLE)[:-8]) == (ROWS, {})


def test_stream_cut_anywhere_else_is_malformed() -> None:
    data = arrow_stream(TABLE)
    schema = len(arrow_stream(TABLE.slice(0, 0))) - 8

    for end in set(range(len(data))) - {schema, len(data) - 8}:
        assert outcome(reader(), data[:end]) is MalformedBody, end


def test_second_stream_behind_the_first_is_refused_rather_than_lost() -> None:
    data = arrow_stream(TABLE)

    assert isinstance(refusal(data + data), MalformedBody)
    for step in (1, 16, len(data)):
        assert outcome(reader(), data + b"x", step) is MalformedBody


@pytest.mark.parametrize(
    "data", [b"", b"x", b"left,right\n1,2\n", bytes(100), b"\xff" * 100, b"ARROW1\0\0" + bytes(99)]
)
def test_what_is_no_arrow_is_malformed(data: bytes) -> None:
    assert isinstance(refusal(data), MalformedBody)


def test_batch_before_the_schema_is_malformed() -> None:
    schema = len(arrow_stream(TABLE.slice(0, 0))) - 8

    assert isinstance(refusal(arrow_stream(TABLE)[schema:]), MalformedBody)


def test_flipped_bit_anywhere_is_another_number_or_refused() -> None:
    data = arrow_stream(TABLE)

    for place in range(len(data)):
        for bit in (1, 16, 128):
            damaged = data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]
            found = outcome(reader(), damaged)
            assert found in (InvalidInput, MalformedBody) or isinstance(found, tuple)


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(st.data())
def test_damage_of_any_kind_is_refused_and_nothing_else_happens(data: st.DataObject) -> None:
    body = bytearray(arrow_stream(TABLE))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body) - 1))
        body[start : start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))

    found = outcome(reader(), bytes(body))

    assert found in (InvalidInput, MalformedBody) or isinstance(found, tuple)


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(st.binary(max_size=300), st.integers(1, 64))
def test_any_other_bytes_are_malformed_whole_and_split(data: bytes, step: int) -> None:
    assert outcome(reader(), data) == outcome(reader(), data, step) == MalformedBody


def answers(scores: Scores) -> Answer:
    return Answer(scores, 0, len(scores.x))


def test_answer_has_a_column_for_each_figure_and_nulls_for_a_skipped_row() -> None:
    scores = Scores(CONTRACT, np.zeros((2, 2), np.float32), np.array([[0.25, 0.75], [1, 0]], np.float32))
    writer = ArrowWriter(CONTRACT)

    stream = writer.head() + writer.rows(answers(scores))
    stream += writer.numbered(2, None, Problem(2, "left", "is wrong")) + writer.numbered(3, Answer(scores, 1, 2), None)
    table = pa.ipc.open_stream(stream + writer.tail()).read_all()

    table.validate(full=True)
    assert table.schema.types == [pa.dictionary(pa.int8(), pa.string()), pa.float32(), pa.float32(), pa.float32()]
    assert table.to_pydict() == {
        "label": ["high", "low", None, "low"],
        "probability": [0.75, 1, None, 1],
        "probability_low": [0.25, 1, None, 1],
        "probability_high": [0.75, 0, None, 0],
    }


def test_answer_without_rows_is_a_whole_stream() -> None:
    writer = ArrowWriter(CONTRACT)

    assert pa.ipc.open_stream(writer.head() + writer.tail()).read_all().num_rows == 0
    assert writer.failure(MalformedBody("whatever")) == b""
