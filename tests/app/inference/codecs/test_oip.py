"""Inference requests as documents: binary parts and the raw form; damage is refused."""

from __future__ import annotations

import json
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from app.errors import InvalidInput, MalformedBody
from app.inference.codecs.oip import InferBody, read_request
from tests.app.inference.codecs.tensors import FEATURES, read, request
from tests.app.oip import SPELLINGS, announced, body_of, tensor, whole
from tests.app.tables import rows
from tests.properties import examples

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


def test_data_and_binary_size_together_are_refused() -> None:
    described, part = announced([[1, 2, 3]])

    with pytest.raises(InvalidInput, match="and then there is no data"):
        read(body_of(whole([{**described, "data": [1, 2, 3]}]), part))


@pytest.mark.parametrize("length", [1, 11, 13])
def test_raw_form_of_no_whole_rows_is_refused(length: int) -> None:
    with pytest.raises(InvalidInput):
        read(InferBody(bytearray(length), 0, 0))


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


@examples(50)
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


@examples(50)
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
