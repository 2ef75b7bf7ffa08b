"""Fields of an inference request are checked one by one, whatever a client puts there."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from app.errors import InvalidInput
from tests.app.inference.codecs.tensors import columns, read, request
from tests.app.oip import announced, body_of, tensor, whole

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


@pytest.mark.parametrize("name", ["id", "parameters", "outputs"])
def test_null_is_as_good_as_nothing_where_clients_write_it(name: str) -> None:
    assert read(body_of(whole([tensor([[1, 2, 3]])], **{name: None}))).tolist() == [[1, 2, 3]]


def test_fields_and_parameters_that_nobody_knows_are_let_through() -> None:
    inputs = [{**tensor([[1, 2, 3]]), "parameters": {"content_type": "np", "weight": 0.5}}]
    text = whole(inputs, model_name="means", parameters={"sequence_id": 7, "note": 'a "quoted" one'})

    assert read(body_of(text)).tolist() == [[1, 2, 3]]
