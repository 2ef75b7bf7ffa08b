"""Translate messages of the protocol into its HTTP form with binary data, and back.

The tensors keep their bytes: raw contents in gRPC and binary data in HTTP have the same layout.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from app.server.rpc import open_inference_pb2 as messages

JSON_BYTES = b"inference-header-content-length"

_LENGTH = struct.Struct("<I")
_CONTENTS = {
    "BOOL": ("bool_contents", "u1"),
    "INT8": ("int_contents", "i1"),
    "INT16": ("int_contents", "<i2"),
    "INT32": ("int_contents", "<i4"),
    "INT64": ("int64_contents", "<i8"),
    "UINT8": ("uint_contents", "u1"),
    "UINT16": ("uint_contents", "<u2"),
    "UINT32": ("uint_contents", "<u4"),
    "UINT64": ("uint64_contents", "<u8"),
    "FP32": ("fp32_contents", "<f4"),
    "FP64": ("fp64_contents", "<f8"),
    "BYTES": ("bytes_contents", ""),
}
"""Where a tensor that is not raw has its values, and their layout."""


class WrongMessage(Exception):
    """A message that has no HTTP form; the text says why."""


@dataclass(frozen=True, slots=True)
class TranslatedBody:
    """A request's body: JSON, and the data of its tensors after it.

    Attributes:
        headers: the headers that describe it.
        data: the bytes.
    """

    headers: list[tuple[bytes, bytes]]
    data: bytes


def model_path(name: str, version: str) -> str:
    """Return the path of a model, or of a version of it if that is not empty.

    Raises:
        WrongMessage: if the names would make another path.
    """
    for what, given in (("model", name), ("version", version)):
        if "/" in given or (what == "model" and not given):
            raise WrongMessage(f"the {what} must be a name without a slash")
    return f"/v2/models/{name}/versions/{version}" if version else f"/v2/models/{name}"


def infer_body(request: Any) -> TranslatedBody:
    """Return the HTTP form of a ModelInferRequest.

    Raises:
        WrongMessage: if raw and other contents are mixed, or values do not fit their datatype.
    """
    raw = list(request.raw_input_contents)
    if raw and (len(raw) != len(request.inputs) or any(tensor.HasField("contents") for tensor in request.inputs)):
        raise WrongMessage(
            f"raw_input_contents must have an element for each of the {len(request.inputs)} inputs, and those have no "
            f"contents; got {len(raw)}"
        )
    parts = raw or [_raw(tensor) for tensor in request.inputs]
    document: dict[str, Any] = {
        "parameters": _values(request.parameters) | {"binary_data_output": True},
        "inputs": [
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": list(tensor.shape),
                "parameters": _values(tensor.parameters) | {"binary_data_size": len(part)},
            }
            for tensor, part in zip(request.inputs, parts, strict=True)
        ],
    }
    if request.id:
        document["id"] = request.id
    if request.outputs:
        document["outputs"] = [
            {"name": output.name, "parameters": _values(output.parameters) | {"binary_data": True}}
            for output in request.outputs
        ]
    text = orjson.dumps(document)
    data = b"".join((text, *parts))
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", b"%d" % len(data)),
        (JSON_BYTES, b"%d" % len(text)),
    ]
    return TranslatedBody(headers, data)


def infer_response(headers: Mapping[bytes, bytes], body: bytes) -> Any:
    """Return the ModelInferResponse of an answer; all its outputs are raw."""
    size = int(headers[JSON_BYTES])
    document = orjson.loads(body[:size])
    response = messages.ModelInferResponse(
        model_name=document["model_name"], model_version=document["model_version"], id=document.get("id", "")
    )
    _put(response.parameters, document.get("parameters", {}))
    for output in document["outputs"]:
        end = size + output["parameters"].pop("binary_data_size")
        tensor = response.outputs.add(name=output["name"], datatype=output["datatype"], shape=output["shape"])
        _put(tensor.parameters, output["parameters"])
        response.raw_output_contents.append(body[size:end])
        size = end
    return response


def _raw(tensor: Any) -> bytes:
    """Return the contents of a tensor as raw bytes."""
    if tensor.datatype not in _CONTENTS:
        raise WrongMessage(f"input {tensor.name}: values of {tensor.datatype} must come in raw_input_contents")
    field, layout = _CONTENTS[tensor.datatype]
    if others := [found.name for found, _ in tensor.contents.ListFields() if found.name != field]:
        raise WrongMessage(f"input {tensor.name}: values of {tensor.datatype} must be {field}, got {others[0]}")
    values: Iterable[Any] = getattr(tensor.contents, field)
    if tensor.datatype == "BYTES":
        return b"".join([_LENGTH.pack(len(value)) + value for value in values])
    try:
        return np.array(list(values), layout).tobytes()  # of the container itself, values would wrap around
    except OverflowError as error:
        raise WrongMessage(f"input {tensor.name}: a value is out of the range of {tensor.datatype}") from error


def _values(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as plain values; one without a value is left to the reader of the body, as null."""
    return {
        name: getattr(parameter, chosen) if (chosen := parameter.WhichOneof("parameter_choice")) else None
        for name, parameter in parameters.items()
    }


def _put(parameters: Any, values: Mapping[str, Any]) -> None:
    """Put values into the parameters of a message; what is no single value is put as JSON."""
    fields: dict[type, str] = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    for name, value in values.items():
        field = fields.get(type(value))
        setattr(parameters[name], field or "string_param", value if field else orjson.dumps(value).decode())
