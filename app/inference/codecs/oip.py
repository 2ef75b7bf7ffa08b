"""Read requests of the Open Inference Protocol, JSON and binary, except tensor values.

Invalid requests are refused before any memory of a size that the client claims is allocated. Sizes are Python integers,
which do not overflow. This module must not know HTTP, torch or which model is requested.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from app.errors import InvalidInput, MalformedBody, wrong_field
from app.inference.additions.added import AddedOutputs
from app.inference.codecs import strict_json
from app.inference.codecs.columns import json_type
from app.inference.codecs.oip_fields import (
    hint,
    read_flag,
    read_id,
    read_number,
    read_objects,
    read_options,
    read_parameters,
    read_shape,
    read_text,
)
from app.inference.codecs.strict_json import has_unique_names
from app.inference.options import PLAIN, PredictionOptions
from app.schema import ModelSchema
from modelstore import Task

Bytes = bytes | bytearray

OUTPUTS = ("probabilities", "label", "class_index")
OUTPUTS_OF: dict[Task, tuple[str, ...]] = {"classification": OUTPUTS, "regression": ("value",)}
ADDED_OUTPUTS = {  # with what asks for each
    **dict.fromkeys(("base", "contributions", "other_contributions", "standard_errors"), "parameter explain"),
    **dict.fromkeys(("set", "interval"), "parameter confidence"),
    **dict.fromkeys(("decision", "abstained"), "parameter abstain_out_of_range"),
    "receipt": "header X-Prediction-Receipt",
}
_KNOWN_OUTPUTS = (*(name for names in OUTPUTS_OF.values() for name in names), *ADDED_OUTPUTS)
_TEXTS = ("label", "set", "decision", "abstained", "receipt")
CLASSIFIED = "probabilities"  # the only output that the classification extension applies to
ALIGNMENT_BYTES = 16
RAW_TENSOR = "features"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input as sent: `data` from the JSON, or `part` of the binary data after it.

    Attributes:
        shape: None for the tensor of the raw form, whose shape follows from the model and the number of bytes.
    """

    name: str
    datatype: str
    shape: tuple[int, ...] | None
    data: list[Any] | None = None
    part: memoryview | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A requested output.

    Attributes:
        binary: whether it is sent as binary data after the JSON.
        top: number of classes to return as value, index and label instead of plain values; 0 for plain values.
    """

    name: str
    binary: bool
    top: int = 0

    @property
    def is_quick(self) -> bool:
        """Whether the output is written as it is in memory, so quickly for any number of rows."""
        return self.binary and not self.top and self.name not in _TEXTS


@dataclass(frozen=True, slots=True)
class InferRequest:
    """An inference request.

    Attributes:
        outputs: the requested outputs in the order of the answer; empty for all that the model has.
        binary: whether outputs that are not requested by name are sent as binary data.
        options: what is asked for in place of, or beside, the usual answer.
        timeout_us: how long the request may wait for its computation, from its arrival; 0 for no limit.
    """

    id: str | None
    inputs: tuple[Tensor, ...]
    outputs: tuple[Output, ...]
    timeout_us: int = 0
    binary: bool = False
    options: PredictionOptions = PLAIN

    def outputs_for(self, schema: ModelSchema, added: AddedOutputs = ()) -> tuple[Output, ...]:
        """Return the outputs of the answer, additional ones included.

        Raises:
            InvalidInput: if the model has no such output.
        """
        known = (*OUTPUTS_OF[schema.task], *(output.name for output in added))
        for place, output in enumerate(self.outputs):
            if output.name not in known:
                asks = ADDED_OUTPUTS.get(output.name)
                unasked = f"; the {asks} asks for it" if asks else ""
                raise wrong_field(f"outputs.{place}.name", f"must be one of {', '.join(known)}{unasked}")
        return self.outputs or tuple(Output(name, self.binary) for name in known)


@dataclass(frozen=True, slots=True)
class InferBody:
    """The bytes of a request.

    Attributes:
        data: `start` bytes of padding and the body; the padding aligns the data after the JSON in memory.
        json_bytes: number of bytes of the body that are JSON: None for all, 0 for the raw form.
    """

    data: Bytes
    start: int = 0
    json_bytes: int | None = None


def padding(json_bytes: int | None) -> int:
    """Return the number of bytes to put before a body so that the data after its JSON is aligned."""
    return -(json_bytes or 0) % ALIGNMENT_BYTES


def read_request(body: InferBody) -> InferRequest:
    """Read a request, except the values of its tensors.

    Raises:
        MalformedBody: if the body is not JSON, or shorter than `json_bytes`.
        InvalidInput: if a field is missing or of the wrong kind.
    """
    size = len(body.data) - body.start
    whole = memoryview(body.data)[body.start :]
    if body.json_bytes == 0:
        raw = Tensor(RAW_TENSOR, "FP32", None, part=whole)
        return InferRequest(None, (raw,), (), binary=True)
    json_bytes = size if body.json_bytes is None else body.json_bytes
    if json_bytes > size:
        raise MalformedBody(f"Inference-Header-Content-Length must be at most {size}, the length of the body")
    text = whole[:json_bytes]
    document, exact = _parse_document(text)
    request = _envelope(document, whole[json_bytes:])
    if not exact and not has_unique_names(body.data, _strings(document), body.start, body.start + json_bytes):
        strict_json.parse(bytes(text))  # refuses duplicate names; accepts escapes and strings as values
    return request


def _parse_document(text: memoryview) -> tuple[Any, bool]:
    """Return the document, and whether it is known to have no duplicate names."""
    if len(text) <= strict_json.MOST_AT_ONCE_BYTES:
        with contextlib.suppress(orjson.JSONDecodeError):
            return orjson.loads(text), False
    return strict_json.parse(bytes(text)), True


def _envelope(document: Any, binary: memoryview) -> InferRequest:
    if type(document) is not dict:
        kind = json_type(document)
        raise InvalidInput(f'the body must be an object such as {{"inputs": [{{"name": ...}}]}}, got {kind}')
    parameters = read_parameters(document, "parameters")
    inputs = read_objects(document, "inputs")
    if not inputs:
        raise wrong_field("inputs", f"must be an array of at least one tensor{hint(document, 'inputs')}")
    wants_binary = read_flag(parameters, "binary_data_output", default=False)
    read_number(parameters, "priority")  # validated, but ignored: nothing waits long enough to be overtaken
    return InferRequest(
        id=read_id(document.get("id")),
        inputs=_tensors(inputs, binary),
        outputs=_outputs(read_objects(document, "outputs"), binary=wants_binary),
        timeout_us=read_number(parameters, "timeout"),
        binary=wants_binary,
        options=read_options(parameters),
    )


def _tensors(inputs: list[Any], binary: memoryview) -> tuple[Tensor, ...]:
    """Return the inputs, each with its part of the binary data after the JSON, if it claims one."""
    tensors, used = [], 0
    for place, described in enumerate(inputs):
        field = f"inputs.{place}"
        name, datatype = read_text(described, "name", field), read_text(described, "datatype", field)
        shape, data = read_shape(described, field), described.get("data")
        size = read_parameters(described, f"{field}.parameters").get("binary_data_size")
        if size is None:
            if type(data) is not list:
                problem = "must be an array, or parameters.binary_data_size must say what follows"
                raise wrong_field(f"{field}.data", problem + hint(described, "data"))
            tensors.append(Tensor(name, datatype, shape, data=data))
            continue
        if type(size) is not int or size < 0 or data is not None:
            raise wrong_field(
                f"{field}.parameters", "binary_data_size must be a number of bytes, and then there is no data"
            )
        if size > len(binary) - used:
            raise wrong_field(
                f"{field}.parameters", f"binary_data_size says more than the {len(binary)} bytes that follow"
            )
        tensors.append(Tensor(name, datatype, shape, part=binary[used : used + size]))
        used += size
    if used != len(binary):
        raise wrong_field("inputs", f"{len(binary)} bytes follow the JSON, but binary_data_size accounts for {used}")
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise wrong_field("inputs", "two tensors have the same name")
    return tuple(tensors)


def _outputs(wanted: list[Any], *, binary: bool) -> tuple[Output, ...]:
    """Return the requested outputs in their order."""
    outputs: dict[str, Output] = {}
    for place, described in enumerate(wanted):
        field = f"outputs.{place}"
        name = read_text(described, "name", field)
        if name not in _KNOWN_OUTPUTS:
            raise wrong_field(f"{field}.name", f"must be one of {', '.join(_KNOWN_OUTPUTS)}")
        if name in outputs:
            raise wrong_field(f"{field}.name", f"{name} is asked for twice")
        parameters = read_parameters(described, f"{field}.parameters")
        top = read_number(parameters, "classification")
        if top and name != CLASSIFIED:
            raise wrong_field(f"{field}.parameters", f"classification is of {CLASSIFIED} only")
        outputs[name] = Output(name, read_flag(parameters, "binary_data", default=binary), top)
    return tuple(outputs.values())


def _strings(document: dict[str, Any]) -> int:
    """Return the number of strings in the document, names included, if all its fields are known and valid."""
    described = [*(document.get("inputs") or ()), *(document.get("outputs") or ())]
    return sum(_strings_of(each) for each in (document, *described))


def _strings_of(described: dict[str, Any]) -> int:
    parameters: Iterable[Any] = (described.get("parameters") or {}).values()
    own = len(described) + sum(type(value) is str for value in described.values())
    data = described.get("data")
    if type(data) is list and data and str in (type(data[0]), type(data[-1])):
        own += list(map(type, data)).count(str)
    return own + sum(2 if type(value) is str else 1 for value in parameters)
