"""Arrow streams: types, nulls, order of columns, and damage, which is always refused."""

from __future__ import annotations

import contextlib
import io
import itertools
import tracemalloc

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies as st

from app.errors import InvalidInput, MalformedBody, Problem
from app.inference.codecs.arrow import ArrowReader
from app.inference.codecs.blocks import BINARY_BLOCK_ROWS
from app.inference.codecs.columns import OUT_OF_RANGE
from tests.app.tables import arrow_stream, outcome, read, schema_of
from tests.app.typed import NAMES, typed_schema
from tests.properties import examples

CONTRACT = schema_of(("left", "right"))
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
    x = np.arange(2 * (2 * BINARY_BLOCK_ROWS + 100), dtype=np.float32).reshape(-1, 2)
    data = arrow_stream(pa.table({"left": x[:, 0].copy(), "right": x[:, 1].copy()}))

    source = reader()

    blocks = [b.x for at in range(0, len(data), 16 << 10) for b in source.feed(data[at : at + (16 << 10)])]
    blocks += [b.x for b in source.finish()]

    assert len(blocks) > 1
    assert max(map(len, blocks)) <= BINARY_BLOCK_ROWS
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


def test_unknown_columns_are_refused_or_ignored() -> None:
    data = arrow_stream(TABLE.append_column("note", pa.array(["a", None, "c"])))

    assert "'note' is not a column of the model; leave it out or add ?ignore_extra=true" in str(refusal(data))
    assert read(reader(ignore_extra=True), data) == (ROWS, {})


def test_same_schema_is_judged_anew_for_another_request_or_version() -> None:
    data = arrow_stream(TABLE.append_column("note", pa.array(["a", None, "c"])))
    turned = schema_of(("right", "left"))

    for _ in range(2):
        assert read(reader(ignore_extra=True), data) == (ROWS, {})
        assert outcome(reader(), data) is InvalidInput
        assert read(ArrowReader(turned, ignore_extra=True), data) == ([[2, 1], [4, 3], [6, 5]], {})


@pytest.mark.parametrize("rows_per_batch", [None, 1, 2])
def test_columns_with_dictionaries_are_ignored_like_others(rows_per_batch: int | None) -> None:
    notes = pa.array(["a", None, "c"]).cast(pa.dictionary(pa.int16(), pa.string()))
    nothing = pa.nulls(3, pa.dictionary(pa.int8(), pa.float64()))
    data = arrow_stream(TABLE.add_column(1, "note", notes).append_column("nothing", nothing), rows_per_batch)

    assert outcome(reader(), data) is InvalidInput
    for step in (1, 64, len(data)):
        assert read(reader(ignore_extra=True), data, step) == (ROWS, {}), step


def test_dictionary_without_a_column_for_it_is_malformed() -> None:
    data = arrow_stream(TABLE.append_column("note", pa.array(["a", None, "c"]).dictionary_encode()))
    messages = list(pa.ipc.MessageReader.open_stream(data))
    dictionary = next(message for message in messages if message.type == "dictionary").serialize().to_pybytes()

    assert isinstance(refusal(arrow_stream(TABLE.slice(0, 0))[:-8] + dictionary, ignore_extra=True), MalformedBody)


COMPRESSED = {
    "lz4": (pa.ipc.IpcWriteOptions(compression="lz4"), None),
    "zstd": (pa.ipc.IpcWriteOptions(compression="zstd"), None),
    "said as before 1.0": (
        pa.ipc.IpcWriteOptions(metadata_version=pa.ipc.MetadataVersion.V4),
        {"ARROW:experimental_compression": "lz4"},
    ),
}


@pytest.mark.parametrize(("options", "metadata"), COMPRESSED.values(), ids=COMPRESSED.keys())
def test_compressed_batches_are_refused_however_much_is_in_them(
    options: pa.ipc.IpcWriteOptions, metadata: dict[str, str] | None
) -> None:
    zeros = pa.array(np.zeros(2_000_000))
    batch = pa.record_batch({"left": zeros, "right": zeros} if not metadata else {"left": [0.5], "right": [0.5]})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema, options=options) as stream:
        stream.write_batch(batch, custom_metadata=metadata)
    before = pa.total_allocated_bytes()

    error = refusal(sink.getvalue())

    assert "are compressed; send them uncompressed" in str(error)
    assert pa.total_allocated_bytes() - before < len(sink.getvalue()) + 1_000_000


def test_streams_as_written_before_arrow_1_are_read() -> None:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(metadata_version=pa.ipc.MetadataVersion.V4)
    with pa.ipc.new_stream(sink, TABLE.schema, options=options) as stream:
        stream.write_table(TABLE)

    assert read(reader(), sink.getvalue()) == (ROWS, {})


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 1e39], ids=str)
@pytest.mark.parametrize("name", ["left", "right"])
def test_null_and_what_is_not_finite_is_named_by_row_and_feature(value: float | None, name: str) -> None:
    row = BINARY_BLOCK_ROWS + 200
    columns = {"left": [1.0] * (row + 9), "right": [2.0] * (row + 9), name: [0.5] * row + [value] + [0.5] * 8}

    blocks = list(reader().feed(arrow_stream(pa.table({k: pa.array(v, pa.float64()) for k, v in columns.items()}))))

    assert [block.bad for block in blocks] == [{}, {200: Problem(row, name, OUT_OF_RANGE)}]
    assert blocks[1].x[200].tolist() == [0, 0]


def test_null_integer_is_a_bad_row_and_its_neighbours_are_exact() -> None:
    table = pa.table({"left": pa.array([1, None, 5], pa.int64()), "right": [2.0, 4.0, 6.0]})

    assert read(reader(), arrow_stream(table)) == ([[1, 2], [0, 0], [5, 6]], {1: OUT_OF_RANGE})


def test_rows_that_take_no_bytes_are_few() -> None:
    schema = typed_schema(optional=True)
    some, many = (arrow_stream(pa.table({"age": pa.nulls(rows)})) for rows in (3, 10**8))

    assert len(many) < 1000
    assert [len(block.x) for block in ArrowReader(schema, ignore_extra=False).feed(some)] == [3]
    with pytest.raises(MalformedBody, match="more rows than bits"):
        next(ArrowReader(schema, ignore_extra=False).feed(many))


def test_dictionary_is_listed_only_where_rows_use_it() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.nulls(10**8))
    data = arrow_stream(pa.table({"age": column, "order": column}))

    blocks = list(ArrowReader(typed_schema(optional=True), ignore_extra=False, id_column="order").feed(data))

    assert len(data) < 2000
    assert [block.ids for block in blocks] == [[None]]
    assert np.isnan(blocks[0].x).all()


def ids_of_batches(*batches: pa.DictionaryArray, deltas: bool) -> list[str | None]:
    sink = io.BytesIO()
    schema = pa.schema({"order": batches[0].type, "age": pa.float64()})
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=deltas)) as stream:
        for order in batches:
            stream.write_batch(pa.record_batch([order, pa.nulls(len(order), pa.float64())], schema=schema))
    source = ArrowReader(typed_schema(optional=True), ignore_extra=False, id_column="order")
    return [one for block in source.feed(sink.getvalue()) for one in block.ids or ()]


@pytest.mark.parametrize("deltas", [False, True], ids=["replaced", "extended"])
def test_dictionary_holds_until_another_comes(deltas: bool) -> None:
    def encoded(places: list[int | None], *texts: str) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(pa.array(places, pa.int8()), pa.array(texts))

    batches = [encoded([1, 0, None], "a", "b"), encoded([1], "a", "b"), encoded([2, 0, 1], "a", "b", "c")]

    assert ids_of_batches(*batches, deltas=deltas) == ["b", "a", None, "b", "c", "a", "b"]


def test_index_beyond_a_dictionary_is_refused_in_every_batch() -> None:
    table = pa.table({"order": pa.array(["a", "b"] * 3).dictionary_encode(), "age": [7.0] * 6})
    messages = list(pa.ipc.MessageReader.open_stream(arrow_stream(table, 2)))
    texts = [message.serialize().to_pybytes() for message in messages]
    assert [message.type for message in messages] == ["schema", "dictionary", *["record batch"] * 3]
    indices = messages[-1].body.to_pybytes()
    damaged = texts[-1].replace(indices, b"\x02" + indices[1:])
    assert damaged != texts[-1]

    for place in (2, 3, 4):
        source = ArrowReader(typed_schema(optional=True), ignore_extra=False, id_column="order")
        with pytest.raises(MalformedBody, match="damaged"):
            list(source.feed(b"".join((*texts[:place], damaged))))


def test_dictionary_is_not_read_again_for_each_batch() -> None:
    texts = pa.array(["a", "x" * (4 << 20)])
    order = pa.DictionaryArray.from_arrays(pa.array([0, 0, 0], pa.int8()), texts)
    data = arrow_stream(pa.table({"order": order}), 1)
    first = sum(len(message.serialize().to_pybytes()) for message in [*pa.ipc.MessageReader.open_stream(data)][:3])
    source = ArrowReader(typed_schema(optional=True), ignore_extra=False, id_column="order")
    ids = [block.ids for block in source.feed(data[:first])]

    tracemalloc.start()
    try:
        ids += [block.ids for block in source.feed(data[first:])]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert ids == [["a"]] * 3
    assert peak < 1 << 20


@pytest.mark.parametrize("dictionary", [False, True], ids=["views", "dictionary of views"])
def test_views_of_the_same_bytes_are_refused_before_they_are_read(dictionary: bool) -> None:
    view = (1 << 20).to_bytes(4, "little") + b"xxxx" + bytes(8)
    texts = pa.Array.from_buffers(pa.string_view(), 1000, [None, *map(pa.py_buffer, (view * 1000, b"x" * (1 << 20)))])
    order = pa.DictionaryArray.from_arrays(pa.array(range(1000)), texts) if dictionary else texts
    source = ArrowReader(typed_schema(optional=True), ignore_extra=False, id_column="order")

    with pytest.raises(MalformedBody, match="views of the same bytes"):
        list(source.feed(arrow_stream(pa.table({"order": order}))))


def test_ids_that_are_views_are_read() -> None:
    texts = pa.array(["a", None, "of more than twelve bytes", "", "b"], pa.string_view()).slice(1)
    source = ArrowReader(typed_schema(optional=True), ignore_extra=False, id_column="order")

    assert [block.ids for block in source.feed(arrow_stream(pa.table({"order": texts})))] == [
        [None, "of more than twelve bytes", None, "b"]
    ]


def test_ids_that_take_no_bytes_are_not_listed() -> None:
    data = arrow_stream(pa.table({"order": pa.nulls(10**8)}))

    with pytest.raises(MalformedBody, match="more rows than bits"):
        next(ArrowReader(typed_schema(optional=True), ignore_extra=False, id_column="order").feed(data))


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


KINDS = [
    *(pa.bool_(), pa.int8(), pa.uint8(), pa.int32(), pa.int64(), pa.uint64(), pa.float16(), pa.float32(), pa.float64()),
    *(pa.date32(), pa.date64(), pa.time32("s"), pa.time64("ns"), pa.duration("us"), pa.month_day_nano_interval()),
    *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "Nowhere/Never")),
    *(pa.decimal128(38, 2), pa.decimal256(76, 0), pa.binary(3)),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_any_bytes_in_a_column_of_any_type_are_read_or_refused(kind: pa.DataType) -> None:
    schema = typed_schema(optional=True)
    for name, byte in itertools.product((*NAMES, "order"), (b"\xff", b"\x7f", b"\x80")):
        column = pa.Array.from_buffers(kind, 2, [None, pa.py_buffer(byte * 64)])
        data = arrow_stream(pa.table({"order": pa.nulls(2), name: column}))
        source = ArrowReader(schema, ignore_extra=False, id_column="order")
        with contextlib.suppress(InvalidInput, MalformedBody):
            assert [len(block.x) for block in (*source.feed(data), *source.finish())] == [2]


@pytest.mark.parametrize("dictionary", [False, True], ids=["texts", "dictionary"])
def test_column_that_has_fewer_bytes_than_rows_is_refused(dictionary: bool) -> None:
    plan = pa.array(["basic"] * 37)
    data = arrow_stream(pa.table({"plan": plan.dictionary_encode() if dictionary else plan, "age": np.arange(37.0)}))
    size, less = (37 * 8).to_bytes(8, "little"), (8).to_bytes(8, "little")
    assert data.count(size) == 1

    found = outcome(ArrowReader(typed_schema(optional=True), ignore_extra=False), data.replace(size, less))

    assert found is MalformedBody


def test_flipped_bit_in_the_description_of_a_dictionary_is_other_ids_or_refused() -> None:
    data = arrow_stream(TABLE.append_column("order", pa.array(["a", None, "c"]).dictionary_encode()))
    messages = list(pa.ipc.MessageReader.open_stream(data))
    described = next(message for message in messages if message.type == "dictionary").metadata.to_pybytes()
    start = data.index(described)

    for place, bit in itertools.product(range(start, start + len(described)), (4, 8)):
        damaged = data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]
        found = outcome(ArrowReader(CONTRACT, ignore_extra=False, id_column="order"), damaged)
        assert found in (InvalidInput, MalformedBody) or isinstance(found, tuple)


@pytest.mark.slow
@examples(70)
@hypothesis.given(st.data())
def test_damage_of_any_kind_is_refused_and_nothing_else_happens(data: st.DataObject) -> None:
    body = bytearray(arrow_stream(TABLE))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body) - 1))
        body[start : start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))

    found = outcome(reader(), bytes(body))

    assert found in (InvalidInput, MalformedBody) or isinstance(found, tuple)


@pytest.mark.slow
@examples(35)
@hypothesis.given(st.binary(max_size=300), st.integers(1, 64))
def test_any_other_bytes_are_malformed_whole_and_split(data: bytes, step: int) -> None:
    assert outcome(reader(), data) == outcome(reader(), data, step) == MalformedBody
