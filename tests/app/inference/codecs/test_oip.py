"""Tensors to rows: every spelling gives the same bits, every datatype is cast, and what does not fit is refused."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from app.errors import InvalidInput, MalformedBody
from app.inference.codecs import oip_blocks
from app.inference.codecs.blocks import Unusual
from app.inference.codecs.json import BLOCK_BYTES
from app.inference.codecs.oip import InferBody, read_request
from app.inference.codecs.oip_tensors import read_rows
from app.schema import Float32, ModelSchema
from tests.app.oip import NUMPY, SPELLINGS, announced, as_binary, as_flat, as_nested, body_of, tensor, whole
from tests.app.tables import rows, schema_of
from tests.properties import examples

FEATURES = ("left", "middle", "right")
CONTRACT = schema_of(FEATURES)
LIMIT = float(np.finfo(np.float32).max)


def read(body: InferBody, schema: ModelSchema = CONTRACT) -> Float32:
    return read_rows(read_request(body), schema)


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
@examples(50)
@hypothesis.given(
    x=arrays.arrays(np.float32, st.tuples(st.integers(1, 9), st.just(3)), elements=st.floats(-LIMIT, LIMIT, width=32))
)
def test_every_spelling_gives_the_same_bits(spell: Any, x: Float32) -> None:
    found = read(spell(x, FEATURES))

    assert found.dtype == np.float32
    assert found.shape == x.shape
    assert found.tobytes() == x.tobytes()


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
@pytest.mark.parametrize("datatype", [name for name in NUMPY if name != "FP16"])
def test_every_datatype_is_cast(datatype: str, binary: bool) -> None:
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(NUMPY[datatype])
    if datatype != "BOOL":
        values[0, 0] = 100
    described, part = announced(values, datatype)
    body = body_of(whole([described]), part) if binary else body_of(whole([tensor(values, datatype)]))

    assert np.array_equal(read(body), values.astype(np.float32))


def test_half_precision_is_read_as_binary_and_refused_as_json() -> None:
    described, part = announced([[0.5, -2, 65504]], "FP16")

    assert read(body_of(whole([described]), part)).tolist() == [[0.5, -2, 65504]]
    with pytest.raises(InvalidInput, match="FP16 cannot be sent as JSON, send it as binary data"):
        read(body_of(whole([tensor([[0.5, -2, 3]], "FP16")])))


def test_bfloat16_is_the_upper_half_of_float32() -> None:
    x = np.array([[1.0, -2.5, 3e38]], dtype=np.float32)
    upper = (x.view("<u4") >> 16).astype("<u2")
    described = {"name": "x", "shape": [1, 3], "datatype": "BF16", "parameters": {"binary_data_size": 6}}

    assert np.allclose(read(body_of(whole([described]), upper.tobytes())), x, rtol=2**-7)


@pytest.mark.parametrize("value", [2**53 + 1, 2**63 - 1, -(2**63), 2**24 + 1, 9007199791611905])
def test_whole_numbers_are_rounded_alike_in_json_and_binary(value: int) -> None:
    described, part = announced([[value] * 3], "INT64")

    assert (
        read(body_of(whole([described]), part)).tobytes()
        == read(body_of(whole([tensor([[value] * 3], "INT64")]))).tobytes()
    )


def test_value_with_more_digits_than_float32_is_rounded_to_the_nearest() -> None:
    assert read(body_of(whole([tensor([[0.96, 1e-46, 5e-324]], "FP64")]))).tolist() == [[np.float32(0.96), 0, 0]]


def test_aligned_binary_tensor_is_used_where_it_is() -> None:
    body = as_binary(rows(5, 3), FEATURES)

    assert np.shares_memory(read(body), np.frombuffer(body.data, np.uint8))


def test_rows_may_be_written_to_wherever_they_came_from() -> None:
    x = rows(5, 3)

    assert all(read(spell(x, FEATURES)).flags.writeable for spell in SPELLINGS.values())


def test_one_feature_may_be_sent_without_a_second_dimension() -> None:
    one = schema_of(("only",))

    for shape in ([4], [4, 1]):
        body = body_of(whole([{"name": "any", "shape": shape, "datatype": "FP32", "data": [1, 2, 3, 4]}]))
        assert read(body, one).tolist() == [[1], [2], [3], [4]]


def request(**changes: Any) -> bytes:
    return whole([{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3], **changes}])


def columns(*names: str, **changes: Any) -> bytes:
    return whole([{"name": name, "shape": [2], "datatype": "FP32", "data": [1, 2], **changes} for name in names])


UNFIT = {
    "one dimension": (request(shape=[3]), "must be [rows, 3]"),
    "no dimension": (request(shape=[]), "got 0 dimensions"),
    "three dimensions": (request(shape=[1, 1, 3]), "got 3 dimensions"),
    "too wide": (request(shape=[1, 4], data=[1, 2, 3, 4]), "got 1 rows of 4 values"),
    "no rows": (request(shape=[0, 3], data=[]), "got 0 rows"),
    "fewer values": (request(data=[1, 2]), "has 2 values, the shape says 3"),
    "more values": (request(data=[1, 2, 3, 4]), "has 4 values, the shape says 3"),
    "ragged": (request(shape=[2, 3], data=[[1, 2, 3], [4, 5]]), "must be 2 arrays of 3 values"),
    "rows missing": (request(shape=[2, 3], data=[[1, 2, 3]]), "must be 2 arrays of 3 values"),
    "nested and flat": (request(shape=[2, 3], data=[[1, 2, 3], 4, 5, 6]), "must be 2 arrays of 3 values"),
    "flat, then nested": (request(data=[1, 2, [3]]), "feature 'right': must be numbers, got an array"),
    "nested too deeply": (request(data=[[1, 2, [3]]]), "feature 'right': must be numbers, got an array"),
    "nested much too deeply": (request(data=[[[1, 2, 3]]]), "must be 1 arrays of 3 values"),
    "text": (request(data=[1, "2", 3]), "row 0, feature 'middle': must be numbers, got a string"),
    "null": (request(data=[1, None, 3]), "feature 'middle': must be numbers, got null"),
    "boolean": (request(data=[True, 2, 3]), "feature 'left': must be numbers, got a boolean"),
    "beyond float32": (request(data=[1, 2, 1e39]), "feature 'right': must be a finite number within float32"),
    "beyond any float": (request(data=[1, 2, 10]).replace(b"10]", b"1" + b"0" * 400 + b"]"), "must be a finite number"),
    "NaN": (request(data=[1, 2, 3]).replace(b",3]}", b",NaN]}"), "feature 'right': must be a finite number"),
    "Infinity": (request(data=[1, 2, 3]).replace(b",3]}", b",-Infinity]}"), "must be a finite number"),
    "unknown datatype": (request(datatype="FP8"), "datatype: must be one of BOOL, UINT8"),
    "strings": (request(datatype="BYTES", data=["a", "b", "c"]), "datatype: must be one of"),
    "fraction as whole number": (request(datatype="INT32", data=[1, 2.5, 3]), "must be values of INT32"),
    "beyond the datatype": (request(datatype="UINT8", data=[1, 2, 256]), "must be values of UINT8, got another number"),
    "below the datatype": (request(datatype="UINT64", data=[1, -1, 2]), "feature 'middle': must be values of UINT64"),
    "no truth value": (request(datatype="BOOL", data=[True, 2, False]), "must be values of BOOL"),
    "feature missing": (columns("left", "right"), "missing: 'middle'; 0 are no feature"),
    "feature unknown": (columns("left", "middle", "right", "other"), "missing: none; 1 are no feature"),
    "column of two": (columns(*FEATURES, shape=[1, 2]), "shape of 'left': must be [rows] or [rows, 1]"),
    "column of no rows": (columns(*FEATURES, shape=[0], data=[]), "with at least one row"),
}


@pytest.mark.parametrize(("text", "message"), UNFIT.values(), ids=UNFIT.keys())
def test_what_does_not_fit_is_refused_with_its_place(text: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(body_of(text))

    assert message in str(caught.value)
    assert str(caught.value).endswith("means has 3 features; see GET /v2/models/means")


@pytest.mark.parametrize("place", [0, 4095, 4096, 8999])
def test_fault_is_found_wherever_it_is(place: int) -> None:
    values: list[Any] = [0.5] * 9000
    values[place] = "0.5"

    with pytest.raises(InvalidInput, match=rf"row {place // 3}, feature '{FEATURES[place % 3]}': must be numbers"):
        read(body_of(request(shape=[3000, 3], data=values)))


def test_columns_of_different_lengths_are_refused() -> None:
    inputs = [tensor([1.0] * length, name=name) for length, name in enumerate(FEATURES, start=2)]

    with pytest.raises(InvalidInput, match="must all have the same number of rows, got 2 to 4"):
        read(body_of(whole(inputs)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39, -1e39])
def test_binary_value_that_is_not_finite_as_float32_is_refused_with_its_place(value: float) -> None:
    described, part = announced([[0, 0, 0], [0, value, 0]], "FP64")

    with pytest.raises(InvalidInput, match=r"row 1, feature 'middle': must be a finite number within float32"):
        read(body_of(whole([described]), part))


HUGE = {
    "product overflows 64 bits": [2**4, 2**60 + 2],
    "product overflows to the right size": [2**62, 4],
    "one dimension beyond 64 bits": [2**70, 3],
    "many rows": [10**12, 3],
    "negative rows": [-1, 3],
    "two negatives": [-1, -3],
    "rows as a float": [1.0, 3],
    "rows as text": ["1", 3],
    "rows as a boolean": [True, 3],
    "rank 64": [1] * 64,
}


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
@pytest.mark.parametrize("shape", HUGE.values(), ids=HUGE.keys())
def test_shape_that_lies_is_refused_without_allocating_for_it(shape: list[Any], binary: bool) -> None:
    described, part = announced([[1, 2, 3]])
    inputs = [{**described, "shape": shape}] if binary else [{**tensor([[1, 2, 3]]), "shape": shape}]
    body = body_of(json_of(inputs), part) if binary else body_of(json_of(inputs))

    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput):
            read(body)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1 << 20


def json_of(inputs: list[Any]) -> bytes:
    """Return a request whose numbers may be larger than orjson writes."""
    text = repr(inputs).replace("'", '"').replace("True", "true")
    return f'{{"inputs": {text}}}'.encode()


SIZES = {"one byte less": 11, "one byte more": 13, "none": 0, "negative": -1, "beyond the body": 10**9, "a float": 12.0}


@pytest.mark.parametrize("size", [*SIZES.values(), True, "12", None], ids=[*SIZES, "a boolean", "text", "null"])
def test_length_of_a_binary_part_that_lies_is_refused(size: Any) -> None:
    described, part = announced([[1, 2, 3]])

    with pytest.raises(InvalidInput):
        read(body_of(whole([{**described, "parameters": {"binary_data_size": size}}]), part))


def test_bytes_that_belong_to_no_tensor_are_refused() -> None:
    described, part = announced([[1, 2, 3]])

    with pytest.raises(InvalidInput, match="16 bytes follow the JSON, but binary_data_size accounts for 12"):
        read(body_of(whole([described]), part, b"more"))


def test_binary_parts_stand_in_the_order_of_their_tensors() -> None:
    inputs = [announced([value], name=name) for value, name in ((1, "right"), (2, "left"), (3, "middle"))]

    found = read(body_of(whole([described for described, _ in inputs]), *[part for _, part in inputs]))

    assert found.tolist() == [[2, 3, 1]]


def test_data_and_binary_size_together_are_refused() -> None:
    described, part = announced([[1, 2, 3]])

    with pytest.raises(InvalidInput, match="and then there is no data"):
        read(body_of(whole([{**described, "data": [1, 2, 3]}]), part))


@pytest.mark.parametrize("length", [1, 11, 13])
def test_raw_form_of_no_whole_rows_is_refused(length: int) -> None:
    with pytest.raises(InvalidInput):
        read(InferBody(bytearray(length), 0, 0))


ENVELOPES = {
    "not an object": b"[]",
    "no inputs": b"{}",
    "inputs null": b'{"inputs": null}',
    "inputs empty": b'{"inputs": []}',
    "inputs an object": b'{"inputs": {}}',
    "input a number": b'{"inputs": [1]}',
    "no name": whole([{"shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]),
    "no shape": whole([{"name": "x", "datatype": "FP32", "data": [1, 2, 3]}]),
    "no datatype": whole([{"name": "x", "shape": [1, 3], "data": [1, 2, 3]}]),
    "no data": whole([{"name": "x", "shape": [1, 3], "datatype": "FP32"}]),
    "data an object": request(data={}),
    "data text": request(data="123"),
    "parameters an array": request(parameters=[]),
    "parameter an object": request(parameters={"a": {}}),
    "parameter null": request(parameters={"a": None}),
    "the same name twice": columns("left", "left", "right"),
    "id a number": whole([tensor([[1, 2, 3]])], id=5),
    "id too long": whole([tensor([[1, 2, 3]])], id="x" * 1025),
    "id a lone surrogate": b'{"id": "\\ud800", ' + request()[1:],
    "output unknown": whole([tensor([[1, 2, 3]])], outputs=[{"name": "logits"}]),
    "output twice": whole([tensor([[1, 2, 3]])], outputs=[{"name": "label"}, {"name": "label"}]),
    "ten thousand outputs": whole([tensor([[1, 2, 3]])], outputs=[{"name": "label"}] * 10_000),
    "output without a name": whole([tensor([[1, 2, 3]])], outputs=[{}]),
    "outputs text": whole([tensor([[1, 2, 3]])], outputs="label"),
    "binary_data text": whole([tensor([[1, 2, 3]])], outputs=[{"name": "label", "parameters": {"binary_data": "no"}}]),
    "binary_data_output a number": whole([tensor([[1, 2, 3]])], parameters={"binary_data_output": 1}),
    "classification negative": whole(
        [tensor([[1, 2, 3]])], outputs=[{"name": "probabilities", "parameters": {"classification": -1}}]
    ),
    "classification of labels": whole(
        [tensor([[1, 2, 3]])], outputs=[{"name": "label", "parameters": {"classification": 1}}]
    ),
    "timeout negative": whole([tensor([[1, 2, 3]])], parameters={"timeout": -1}),
    "timeout a float": whole([tensor([[1, 2, 3]])], parameters={"timeout": 1.5}),
    "timeout absurd": whole([tensor([[1, 2, 3]])], parameters={"timeout": 2**60}),
    "priority text": whole([tensor([[1, 2, 3]])], parameters={"priority": "high"}),
    "too many inputs": whole([tensor([1.0], name=str(number)) for number in range(5000)]),
    "shared memory": request(data=None, parameters={"shared_memory_region": "a", "shared_memory_byte_size": 12}),
}


@pytest.mark.parametrize("text", ENVELOPES.values(), ids=ENVELOPES.keys())
def test_envelope_that_is_wrong_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(body_of(text))

    assert len(str(caught.value)) > 20
    assert caught.value.problems or text == b"[]"


@pytest.mark.parametrize("place", ["inputs", "id", "shape", "a", "name"])
def test_name_that_is_there_twice_is_refused(place: str) -> None:
    text = whole([{**tensor([[1, 2, 3]]), "parameters": {"a": 1}}], id="x")
    twice = text.replace(b'"%b":' % place.encode(), b'"%b":0,"%b":' % (place.encode(), place.encode()))
    assert twice != text

    with pytest.raises(MalformedBody, match="the same name twice"):
        read(body_of(twice))


MALFORMED = {
    "empty": b"",
    "not JSON": b"inputs",
    "cut off": request()[:-1],
    "not UTF-8": request(name="x").replace(b'"x"', b'"\xff"'),
    "two documents": request() + request(),
    "deep": b'{"inputs": ' + b"[" * 100_000,
    "deep in the data": request().replace(b"[1,2,3]", b"[" * 50_000 + b"]" * 50_000),
    "a byte order mark": b"\xef\xbb\xbf" + request(),
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_json_is_malformed(text: bytes) -> None:
    with pytest.raises(MalformedBody):
        read(body_of(text))


def test_json_longer_than_the_body_is_malformed() -> None:
    with pytest.raises(MalformedBody, match="must be at most"):
        read_request(InferBody(request(), 0, 10**9))


@pytest.mark.parametrize("name", ["id", "parameters", "outputs"])
def test_null_is_as_good_as_nothing_where_clients_write_it(name: str) -> None:
    assert read(body_of(whole([tensor([[1, 2, 3]])], **{name: None}))).tolist() == [[1, 2, 3]]


def test_fields_and_parameters_that_nobody_knows_are_let_through() -> None:
    inputs = [{**tensor([[1, 2, 3]]), "parameters": {"content_type": "np", "weight": 0.5}}]
    text = whole(inputs, model_name="means", parameters={"sequence_id": 7, "note": 'a "quoted" one'})

    assert read(body_of(text)).tolist() == [[1, 2, 3]]


# Large tensors in blocks


def in_blocks(body: InferBody, schema: ModelSchema = CONTRACT) -> Float32:
    request, values = oip_blocks.split(body)
    found = list(oip_blocks.blocks(request, values, schema))
    assert len(found) > 1
    return np.concatenate(found)


@pytest.mark.parametrize("spell", [as_flat, as_nested], ids=["flat", "nested"])
@pytest.mark.parametrize("spaces", [False, True], ids=["tight", "spaced"])
def test_blocks_are_the_same_rows(spell: Any, spaces: bool) -> None:
    x = rows(4000, 3)
    body = spell(x, FEATURES)
    if spaces:
        body = body_of(bytes(body.data).replace(b",", b" ,\n ").replace(b"]", b" ] ").replace(b"[", b" [ "))

    assert in_blocks(body).tobytes() == x.tobytes()


def spoilt(change: tuple[bytes, bytes], at: int = 0) -> InferBody:
    """Return a large body with a change in it, at the first place after `at`."""
    data = bytes(as_flat(rows(4000, 3), FEATURES).data)
    place = data.index(change[0], at)
    return body_of(data[:place] + change[1] + data[place + len(change[0]) :])


SPOILT = {
    "NaN late": ((b",0.", b",NaN,0."), 60_000),
    "text late": ((b",0.", b',"1",0.'), 60_000),
    "null late": ((b",0.", b",null,0."), 60_000),
    "boolean late": ((b",0.", b",true,0."), 60_000),
    "beyond float32": ((b",0.", b",1e39,0."), 60_000),
    "a value more": ((b",0.", b",0.5,0."), 60_000),
    "a row more in the shape": ((b"4000", b"4001"), 0),
    "width": ((b",3]", b",4]"), 0),
    "nested late": ((b",0.", b",[1],0."), 60_000),
    "double comma": ((b",0.", b",,0."), 60_000),
    "a brace": ((b",0.", b",{},0."), 60_000),
    "name twice": ((b'"name"', b'"name":"y","name"'), 0),
    "shape twice": ((b'"shape"', b'"shape":[1],"shape"'), 0),
    "datatype": ((b"FP32", b"FP31"), 0),
    "not closed": ((b"]}", b"}"), 1000),
}


@pytest.mark.parametrize(("change", "at"), SPOILT.values(), ids=SPOILT.keys())
def test_blocks_leave_what_is_wrong_to_the_precise_reader(change: tuple[bytes, bytes], at: int) -> None:
    body = spoilt(change, at)

    with pytest.raises(Unusual):
        in_blocks(body)
    with pytest.raises((InvalidInput, MalformedBody)):
        read(body)


@pytest.mark.parametrize("spell", [as_flat, as_nested], ids=["flat", "nested"])
def test_blocks_leave_a_value_that_is_missing_between_two_of_them(spell: Any) -> None:
    data = bytes(spell(rows(4000, 3), FEATURES).data)
    end = b"]," if b"[[" in data else b","
    cut = data.index(end, data.index(b'"data":[') + len(b'"data":[') + BLOCK_BYTES) + len(end)
    body = body_of(data[:cut] + b" " * 2 * BLOCK_BYTES + b"," + data[cut:])

    with pytest.raises(Unusual):
        in_blocks(body)
    with pytest.raises(MalformedBody):
        read(body)


@pytest.mark.parametrize(
    "text",
    [
        whole([tensor(rows(9000, 3), "INT8")]).replace(b"0.", b""),
        columns(*FEATURES, shape=[4000], data=[1] * 4000),
        whole([tensor(rows(9000, 3))], data=[1]),
        whole([tensor(rows(9000, 3), name="data")]),
    ],
    ids=["whole numbers", "columns", "data elsewhere", "named data"],
)
def test_blocks_leave_what_is_unusual_alone(text: bytes) -> None:
    with pytest.raises(Unusual):
        in_blocks(body_of(text))


@examples(150)
@hypothesis.given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.sampled_from(["x", "FP32", "INT8", "data", "\ud800"]),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["inputs", "outputs", "id", "name", "shape", "datatype", "data", "parameters", "timeout"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=30,
    ),
    st.binary(max_size=24),
    st.integers(-1, 200),
)
def test_nothing_but_a_refusal_comes_of_any_document(document: Any, tail: bytes, json_bytes: int) -> None:
    text = json.dumps({"inputs": document} if not isinstance(document, dict) else document).encode()
    for body in (body_of(text), body_of(text, tail), InferBody(text + tail, 0, max(json_bytes, 0))):
        try:
            x = read(body)
        except (InvalidInput, MalformedBody):
            continue
        assert x.shape[1] == 3
        assert np.isfinite(x).all()


@examples(150)
@hypothesis.given(st.binary(min_size=1, max_size=60), st.integers(0, 300), st.data())
def test_nothing_but_a_refusal_comes_of_damaged_bytes(damage: bytes, place: int, data: st.DataObject) -> None:
    body = data.draw(st.sampled_from([spell(rows(2, 3), FEATURES) for spell in SPELLINGS.values()]))
    text = bytes(body.data)
    spoilt_text = text[:place] + damage + text[place + len(damage) :]
    try:
        x = read(InferBody(bytearray(spoilt_text), body.start, body.json_bytes))
    except (InvalidInput, MalformedBody):
        return
    assert x.shape[1] == 3
    assert np.isfinite(x).all()
