"""Tensors to rows: every spelling gives the same bits, datatypes are cast, misfits refused."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from app.errors import InvalidInput
from app.inference.codecs.oip import InferBody
from app.inference.codecs.strict_json import MOST_AT_ONCE_BYTES
from app.schema import Float32, ModelSchema
from modelstore import CategoricalFeature, DatetimeFeature
from tests.app.inference.codecs.tensors import CONTRACT, FEATURES, columns, read, request
from tests.app.oip import SPELLINGS, announced, as_binary, body_of, tensor, whole
from tests.app.tables import rows, schema_of
from tests.properties import examples

LIMIT = float(np.finfo(np.float32).max)


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
@examples(20)
@hypothesis.given(
    x=arrays.arrays(np.float32, st.tuples(st.integers(1, 9), st.just(3)), elements=st.floats(-LIMIT, LIMIT, width=32))
)
def test_every_spelling_gives_the_same_bits(spell: Any, x: Float32) -> None:
    found = read(spell(x, FEATURES))

    assert found.dtype == np.float32
    assert found.shape == x.shape
    assert found.tobytes() == x.tobytes()


@pytest.mark.parametrize("value", [2**53 + 1, 2**63 - 1, -(2**63), 2**24 + 1, 9007199791611905])
def test_whole_numbers_are_rounded_alike_in_json_and_binary(value: int) -> None:
    described, part = announced([[value] * 3], "INT64")

    assert (
        read(body_of(whole([described]), part)).tobytes()
        == read(body_of(whole([tensor([[value] * 3], "INT64")]))).tobytes()
    )


def test_a_number_beyond_64_bits_is_the_category_of_its_double_in_json_of_any_size_and_binary() -> None:
    value = 12345678901234567890123
    codes = dict.fromkeys((str(value), str(int(float(value)))), 5)
    schema = ModelSchema.of_features("m", 1, [CategoricalFeature(name="code", categories=codes)], ("a", "b"))
    described, part = announced([value], "FP64", "code")
    text = whole([{**described, "parameters": {}, "data": [0]}]).replace(b"[0]", b"[%d]" % value)

    bodies = [body_of(text), body_of(text + b" " * MOST_AT_ONCE_BYTES), body_of(whole([described]), part)]

    assert [read(body, schema).tolist() for body in bodies] == [[[1]]] * 3


DAY = DatetimeFeature(name="day", min="2024-01-01", max="2024-12-31", quantiles=(1,) * 9, format="%Y%m%d")
SHORT = {  # each is another number in the array that comes
    "day": (DAY, "FP32", np.array([20240129], "<f4"), [20240129]),
    "code of 25 bits": (None, "FP32", np.array([2**24 + 1], "<f4"), [2**24 + 1]),
    "code of 12 bits": (None, "FP16", np.array([2049], "<f2"), [2049]),
    "code of 9 bits": (None, "BF16", np.array([257], "<f4").view("<u2")[1::2], [257]),
}


@pytest.mark.parametrize(("feature", "datatype", "array", "sent"), SHORT.values(), ids=SHORT.keys())
def test_number_that_stands_for_its_digits_is_refused_where_it_may_have_lost_some(
    feature: DatetimeFeature | None, datatype: str, array: Any, sent: list[int]
) -> None:
    code = CategoricalFeature(name="day", categories=dict.fromkeys((*map(str, sent), "1"), 5))
    schema = ModelSchema.of_features("m", 1, [feature or code], ("a", "b"))
    described, part = announced(sent, "INT64", "day")
    short = {**described, "datatype": datatype, "parameters": {"binary_data_size": array.nbytes}}

    with pytest.raises(InvalidInput, match=r"row 0, feature 'day': may have lost digits.*send BYTES, INT64 or FP64"):
        read(body_of(whole([short]), array.tobytes()), schema)
    assert read(body_of(whole([described]), part), schema)[0, 0] == (19751 if feature else 0)


def test_short_numbers_are_categories_and_gaps() -> None:
    schema = ModelSchema.of_features(
        "m", 1, [CategoricalFeature(name="code", categories={"16777215": 5, "0.1": 5})], ("a", "b")
    )
    described, part = announced([2**24 - 1, 0.1, np.nan, -3], "FP32", "code")

    np.testing.assert_array_equal(read(body_of(whole([described]), part), schema), [[0], [1], [np.nan], [2]])


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
    "feature missing": (columns("left", "right"), "'middle' is missing"),
    "feature unknown": (
        columns("left", "middle", "right", "other"),
        "'other' is not a column of the model; leave it out",
    ),
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


def test_binary_parts_stand_in_the_order_of_their_tensors() -> None:
    inputs = [announced([value], name=name) for value, name in ((1, "right"), (2, "left"), (3, "middle"))]

    found = read(body_of(whole([described for described, _ in inputs]), *[part for _, part in inputs]))

    assert found.tolist() == [[2, 3, 1]]


def optional(*names: str) -> ModelSchema:
    types = [each.model_copy(update={"required": each.name not in names}) for each in CONTRACT.types]
    return ModelSchema.of_features("means", 3, types, ("low", "high"))


def test_tensor_of_an_optional_feature_may_be_absent_and_is_missing() -> None:
    contract = optional("left", "right")

    for names in (("middle",), ("middle", "right"), ("right", "middle", "left")):
        found = read(InferBody(columns(*names)), contract)
        expected = [[1.0 if name in names else np.nan for name in FEATURES]] * 2
        assert np.isnan(found).tolist() == np.isnan(expected).tolist()
    with pytest.raises(InvalidInput, match="'middle' is missing"):
        read(InferBody(columns("left", "right")), contract)


def test_matrix_may_have_the_name_of_an_optional_feature_and_ignored_tensors_alone_are_no_rows() -> None:
    contract = optional(*FEATURES)
    assert read(InferBody(request(name="left")), contract).tolist() == [[1, 2, 3]]

    with_target = ModelSchema.of_features("means", 3, contract.types, ("low", "high"), ignored=("kind", "id"))
    with pytest.raises(InvalidInput, match="must have the tensor of at least one feature"):
        read(InferBody(columns("kind", "id")), with_target)
