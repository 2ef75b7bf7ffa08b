"""Inference requests in every spelling, and answers of both kinds as arrays."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx2
import numpy as np
import orjson
from starlette.testclient import TestClient

from app.inference.codecs.oip import InferBody, padding
from app.schema import Float32

INFER = "/v2/models/means/infer"
JSON_BYTES = "inference-header-content-length"
TWO = [[0.25, 0.25], [0.5, 1.0]]
NUMPY = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


def tensor(x: Any, datatype: str = "FP32", name: str = "features", *, nested: bool = False) -> dict[str, Any]:
    """Return an input in JSON."""
    x = np.asarray(x)
    data = x.tolist() if nested else x.ravel().tolist()
    return {"name": name, "shape": list(x.shape), "datatype": datatype, "data": data}


def announced(x: Any, datatype: str = "FP32", name: str = "features") -> tuple[dict[str, Any], bytes]:
    """Return an input whose values follow the JSON, and these."""
    x = np.asarray(x, dtype=NUMPY[datatype])
    part = x.tobytes()
    size = {"binary_data_size": len(part)}
    return {"name": name, "shape": list(x.shape), "datatype": datatype, "parameters": size}, part


def whole(inputs: Sequence[Mapping[str, Any]], **fields: Any) -> bytes:
    """Return a request in JSON."""
    return orjson.dumps({"inputs": inputs, **fields})


def body_of(text: bytes, *parts: bytes) -> InferBody:
    """Return a request as the route hands it on: aligned, and in memory that can be written to."""
    if not parts:
        return InferBody(bytearray(text))
    start = padding(len(text))
    return InferBody(bytearray().join((bytes(start), text, *parts)), start, len(text))


def as_flat(x: Float32, _features: Sequence[str]) -> InferBody:
    return body_of(whole([tensor(x)]))


def as_nested(x: Float32, _features: Sequence[str]) -> InferBody:
    return body_of(whole([tensor(x, nested=True)]))


def as_columns(x: Float32, features: Sequence[str]) -> InferBody:
    """Every other column with a second dimension, the last feature first."""
    columns = [(x[:, place], name) for place, name in enumerate(features)]
    inputs = [tensor(c[:, None] if place % 2 else c, name=name) for place, (c, name) in enumerate(columns)]
    return body_of(whole(inputs[::-1]))


def as_binary(x: Float32, _features: Sequence[str]) -> InferBody:
    described, part = announced(x)
    return body_of(whole([described]), part)


def as_unaligned_binary(x: Float32, features: Sequence[str]) -> InferBody:
    body = as_binary(x, features)
    return InferBody(bytes(3) + bytes(body.data[body.start :]), 3, body.json_bytes)


def as_mixed_columns(x: Float32, features: Sequence[str]) -> InferBody:
    """Columns of JSON and of binary by turns."""
    inputs, parts = [], []
    for place, name in enumerate(features):
        if place % 2:
            inputs.append(tensor(x[:, place], name=name))
            continue
        described, part = announced(x[:, place], name=name)
        inputs.append(described)
        parts.append(part)
    return body_of(whole(inputs), *parts)


def as_raw(x: Float32, _features: Sequence[str]) -> InferBody:
    return InferBody(bytearray(x.astype("<f4").tobytes()), 0, 0)


SPELLINGS: dict[str, Callable[[Float32, Sequence[str]], InferBody]] = {
    "flat": as_flat,
    "nested": as_nested,
    "columns": as_columns,
    "binary": as_binary,
    "unaligned binary": as_unaligned_binary,
    "mixed columns": as_mixed_columns,
    "raw": as_raw,
}


def headers_of(body: InferBody) -> dict[str, str]:
    """Return the headers of a request."""
    if body.json_bytes is None:
        return {"content-type": "application/json"}
    return {"content-type": "application/octet-stream", JSON_BYTES: str(body.json_bytes)}


def sent(body: InferBody) -> dict[str, Any]:
    """Return a request as arguments for a client's `post`."""
    return {"content": bytes(body.data[body.start :]), "headers": headers_of(body)}


def outputs_of(answer: httpx2.Response) -> dict[str, Any]:
    """Return the outputs of an answer as arrays by name, in their order, whichever way they came."""
    assert answer.status_code == 200, answer.text
    content = answer.content
    json_bytes = int(answer.headers.get(JSON_BYTES, len(content)))
    document, place = orjson.loads(content[:json_bytes]), json_bytes
    found = {}
    for output in document["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        assert (size is None) == ("data" in output)
        values = output.get("data")
        if size is not None:
            values = from_bytes(content[place : place + size], output["datatype"])
            place += size
        found[output["name"]] = np.array(values, dtype=NUMPY.get(output["datatype"], object)).reshape(output["shape"])
    assert place == len(content)
    return found


def from_bytes(part: bytes, datatype: str) -> Any:
    """Return the values of a binary tensor."""
    if datatype != "BYTES":
        return np.frombuffer(part, NUMPY[datatype])
    values, place = [], 0
    while place < len(part):
        (length,) = struct.unpack_from("<I", part, place)
        values.append(part[place + 4 : place + 4 + length].decode())
        place += 4 + length
    assert place == len(part)
    return values


def infer(client: TestClient, inputs: list[dict[str, Any]] | None = None, path: str = INFER, **fields: Any) -> Any:
    """Ask for the rows `TWO`, or for others, and return the answer."""
    return client.post(path, **sent(body_of(whole(inputs or [tensor(TWO)], **fields))))
