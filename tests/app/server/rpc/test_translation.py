"""Messages of the protocol as requests with binary data, and answers as messages."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as published

from app.server.rpc import open_inference_pb2 as messages
from app.server.rpc.translation import JSON_BYTES, WrongMessage, infer_body, infer_response, model_path

MESSAGES = sorted(messages.DESCRIPTOR.message_types_by_name)


def fields_of(descriptor: Any) -> list[tuple[Any, ...]]:
    nested = [(each.name, fields_of(each)) for each in sorted(descriptor.nested_types, key=lambda each: each.name)]
    return [(field.name, field.number, field.type, field.is_repeated) for field in descriptor.fields] + nested


@pytest.mark.parametrize("name", MESSAGES)
def test_message_has_the_fields_of_the_published_protocol(name: str) -> None:
    theirs = getattr(published, name).DESCRIPTOR

    assert set(map(repr, fields_of(messages.DESCRIPTOR.message_types_by_name[name]))) <= set(
        map(repr, fields_of(theirs))
    )


def request(*inputs: dict[str, Any], **fields: Any) -> Any:
    return messages.ModelInferRequest(model_name="m", inputs=list(inputs), **fields)


def split(body: Any) -> tuple[dict[str, Any], bytes]:
    size = int(dict(body.headers)[JSON_BYTES])
    return json.loads(body.data[:size]), body.data[size:]


@pytest.mark.parametrize(
    ("datatype", "field", "values", "raw"),
    [
        ("BOOL", "bool_contents", [True, False], b"\1\0"),
        ("INT8", "int_contents", [-1, 5], b"\xff\5"),
        ("INT16", "int_contents", [-1], b"\xff\xff"),
        ("INT32", "int_contents", [1], struct.pack("<i", 1)),
        ("INT64", "int64_contents", [-(2**40)], struct.pack("<q", -(2**40))),
        ("UINT8", "uint_contents", [255], b"\xff"),
        ("UINT16", "uint_contents", [258], b"\2\1"),
        ("UINT32", "uint_contents", [7], struct.pack("<I", 7)),
        ("UINT64", "uint64_contents", [2**63], struct.pack("<Q", 2**63)),
        ("FP32", "fp32_contents", [0.5, -2.0], struct.pack("<ff", 0.5, -2)),
        ("FP64", "fp64_contents", [0.1], struct.pack("<d", 0.1)),
        ("BYTES", "bytes_contents", [b"a", b""], b"\1\0\0\0a\0\0\0\0"),
    ],
)
def test_contents_become_raw_bytes(datatype: str, field: str, values: list[Any], raw: bytes) -> None:
    tensor = {"name": "x", "datatype": datatype, "shape": [len(values)], "contents": {field: values}}

    document, data = split(infer_body(request(tensor)))

    assert data == raw
    assert document["inputs"] == [
        {"name": "x", "datatype": datatype, "shape": [len(values)], "parameters": {"binary_data_size": len(raw)}}
    ]


def test_raw_contents_keep_their_bytes_and_parameters_their_types() -> None:
    tensors = [{"name": name, "datatype": "FP16", "shape": [1]} for name in "xy"]
    parameters = {
        "strict": messages.InferParameter(bool_param=True),
        "timeout": messages.InferParameter(int64_param=5),
        "confidence": messages.InferParameter(double_param=0.5),
        "text": messages.InferParameter(string_param="a"),
        "nothing": messages.InferParameter(),
    }
    outputs = [{"name": "label", "parameters": {"classification": messages.InferParameter(int64_param=2)}}]

    document, data = split(
        infer_body(
            request(*tensors, raw_input_contents=[b"ab", b"cd"], parameters=parameters, outputs=outputs, id="mine")
        )
    )

    assert data == b"abcd"
    assert document["id"] == "mine"
    assert document["parameters"] == {
        "strict": True, "timeout": 5, "confidence": 0.5, "text": "a", "nothing": None, "binary_data_output": True,
    }  # fmt: skip
    assert document["outputs"] == [{"name": "label", "parameters": {"classification": 2, "binary_data": True}}]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (request({"name": "x", "datatype": "FP16", "shape": [1]}), "must come in raw_input_contents"),
        (request({"name": "x", "datatype": "FP32", "contents": {"int_contents": [1]}}), "must be fp32_contents"),
        (request({"name": "x", "datatype": "INT8", "contents": {"int_contents": [128]}}), "out of the range of INT8"),
        (request({"name": "x", "datatype": "FP32"}, raw_input_contents=[b"", b""]), "each of the 1 inputs"),
        (
            request({"name": "x", "datatype": "FP32", "contents": {"fp32_contents": [1]}}, raw_input_contents=[b""]),
            "those have no contents",
        ),
    ],
    ids=["half floats as contents", "other contents", "out of range", "raw too many", "both"],
)
def test_message_without_an_http_form_is_refused_in_words(asked: Any, said: str) -> None:
    with pytest.raises(WrongMessage, match=said):
        infer_body(asked)


def test_answer_becomes_a_message_with_raw_outputs() -> None:
    values = np.array([[0.25, 0.75]], "<f4").tobytes()
    document = {
        "model_name": "m",
        "model_version": "3",
        "id": "mine",
        "parameters": {"decision": "costs", "coverage": 0.9, "rows": 1, "sure": True, "levels": [1, 2]},
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}},
            {"name": "label", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}},
        ],
    }
    text = json.dumps(document).encode()

    answer = infer_response({JSON_BYTES: b"%d" % len(text)}, text + values + b"\1\0\0\0y")

    assert (answer.model_name, answer.model_version, answer.id) == ("m", "3", "mine")
    assert list(answer.raw_output_contents) == [values, b"\1\0\0\0y"]
    assert [(each.name, each.datatype, list(each.shape)) for each in answer.outputs] == [
        ("probabilities", "FP32", [1, 2]),
        ("label", "BYTES", [1]),
    ]
    found = {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in answer.parameters.items()}
    assert found == {"decision": "costs", "coverage": 0.9, "rows": 1, "sure": True, "levels": "[1,2]"}


@pytest.mark.parametrize(("name", "version"), [("", ""), ("a/b", ""), ("a", "1/infer")])
def test_name_that_would_make_another_path_is_refused(name: str, version: str) -> None:
    with pytest.raises(WrongMessage, match="without a slash"):
        model_path(name, version)


def test_path_of_a_model_and_of_a_version() -> None:
    assert model_path("iris", "") == "/v2/models/iris"
    assert model_path("iris", "2") == "/v2/models/iris/versions/2"
