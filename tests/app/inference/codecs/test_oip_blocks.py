"""Large JSON tensors in steps: the same rows, and whatever is unusual is declined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.errors import InvalidInput, MalformedBody
from app.inference.codecs import oip_blocks
from app.inference.codecs.blocks import Unusual
from app.inference.codecs.json import BLOCK_BYTES
from app.inference.codecs.oip import InferBody
from app.schema import Float32, ModelSchema
from tests.app.inference.codecs.tensors import CONTRACT, FEATURES, columns, read
from tests.app.oip import as_flat, as_nested, body_of, tensor, whole
from tests.app.tables import rows


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


def test_values_beside_a_tensor_are_not_taken_for_its_own_that_are_spelt_otherwise() -> None:
    values = whole([], data=rows(4000, 3).ravel().tolist())
    empty = b'{"inputs":[{"name":"x","shape":[4000,3],"datatype":"FP32","d\\u0061ta":[]}]'
    body = body_of(values.replace(b'{"inputs":[]', empty))

    with pytest.raises(Unusual):
        in_blocks(body)
    with pytest.raises(InvalidInput, match="has 0 values, the shape says 12000"):
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
        whole([tensor(rows(9000, 3), name="\u0001")]),
    ],
    ids=["whole numbers", "columns", "data elsewhere", "named data", "an escape"],
)
def test_blocks_leave_what_is_unusual_alone(text: bytes) -> None:
    with pytest.raises(Unusual):
        in_blocks(body_of(text))
