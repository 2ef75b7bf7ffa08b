"""Requests of the Open Inference Protocol, JSON and binary: envelope and tensors, their values not looked at yet.

It must not know HTTP, torch or which model is asked. What it refuses, it refuses before anything of the size that a
client claims is allocated; sizes are Python's integers, which do not overflow.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from app.errors import InvalidInput, MalformedBody
from app.inference.codecs import precise_json
from app.inference.codecs.oip_fields import (
    hint,
    read_flag,
    read_id,
    read_number,
    read_objects,
    read_parameters,
    read_shape,
    read_text,
    wrong,
)

Bytes = bytes | bytearray

OUTPUTS = ("probabilities", "label", "class_index")
CLASSIFIED = "probabilities"  # the output that the classification extension ranks
ALIGNMENT_BYTES = 16
RAW_TENSOR = "features"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input as it was sent: `data` from JSON, or `part` of what follows the JSON.

    Attributes:
        shape: none for the tensor of the raw form, whose shape follows from the model and the number of bytes.
    """

    name: str
    datatype: str
    shape: tuple[int, ...] | None
    data: list[Any] | None = None
    part: memoryview | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """An output that is wanted.

    Attributes:
        binary: whether it comes behind the JSON.
        top: how many classes to name with value, index and label instead of the values; 0 for the values.
    """

    name: str
    binary: bool
    top: int = 0

    @property
    def is_quick(self) -> bool:
        """Whether it is written as it is in memory, in no time for any number of rows."""
        return self.binary and not self.top and self.name != "label"


@dataclass(frozen=True, slots=True)
class InferRequest:
    """An inference request; all outputs are there, in the order in which they are to be answered.

    Attributes:
        timeout_us: how long it may wait to be computed, from its arrival; 0 for as long as it takes.
    """

    id: str | None
    inputs: tuple[Tensor, ...]
    outputs: tuple[Output, ...]
    timeout_us: int = 0


@dataclass(frozen=True, slots=True)
class InferBody:
    """The bytes of a request.

    Attributes:
        data: the body, begun by `start` bytes that are not of it, so that what follows the JSON is aligned in memory.
        json_bytes: how many bytes of it are JSON: None for all, 0 for the raw form.
    """

    data: Bytes
    start: int = 0
    json_bytes: int | None = None


def padding(json_bytes: int | None) -> int:
    """Return how many bytes to put before a body so that what follows its JSON can be used where it is."""
    return -(json_bytes or 0) % ALIGNMENT_BYTES


def read_request(body: InferBody) -> InferRequest:
    """Read everything but the values.

    Raises:
        MalformedBody: if the body is not JSON, or not so many bytes of it as it says.
        InvalidInput: if a field is missing or of the wrong kind.
    """
    size = len(body.data) - body.start
    whole = memoryview(body.data)[body.start :]
    if body.json_bytes == 0:
        raw = Tensor(RAW_TENSOR, "FP32", None, part=whole)
        return InferRequest(None, (raw,), _all_outputs(binary=True))
    json_bytes = size if body.json_bytes is None else body.json_bytes
    if json_bytes > size:
        raise MalformedBody(f"Inference-Header-Content-Length must be at most {size}, the length of the body")
    text = whole[:json_bytes]
    document, exact = _parsed(text)
    request = _envelope(document, whole[json_bytes:])
    if not exact and body.data.count(b'"', body.start, body.start + json_bytes) != 2 * _strings(document):
        precise_json.parse(
            bytes(text)
        )  # a name twice is refused there; an escape or a string as a value is let through
    return request


def _parsed(text: memoryview) -> tuple[Any, bool]:
    """Return the document, and whether it is certain that no object in it has a name twice."""
    if len(text) <= precise_json.MOST_AT_ONCE_BYTES:
        with contextlib.suppress(orjson.JSONDecodeError):
            return orjson.loads(text), False
    return precise_json.parse(bytes(text)), True


def _envelope(document: Any, binary: memoryview) -> InferRequest:
    if type(document) is not dict:
        kind = precise_json.type_name(document)
        raise InvalidInput(f'the body must be an object such as {{"inputs": [{{"name": ...}}]}}, got {kind}')
    parameters = read_parameters(document, "parameters")
    inputs = read_objects(document, "inputs")
    if not inputs:
        raise wrong("inputs", f"must be an array of at least one tensor{hint(document, 'inputs')}")
    wants_binary = read_flag(parameters, "binary_data_output", default=False)
    read_number(parameters, "priority")  # nothing waits long enough for one to overtake another
    return InferRequest(
        id=read_id(document.get("id")),
        inputs=_tensors(inputs, binary),
        outputs=_outputs(read_objects(document, "outputs"), binary=wants_binary),
        timeout_us=read_number(parameters, "timeout"),
    )


def _tensors(inputs: list[Any], binary: memoryview) -> tuple[Tensor, ...]:
    """Return the inputs, each with its part of what follows the JSON if it says that it has one there."""
    tensors, used = [], 0
    for place, described in enumerate(inputs):
        field = f"inputs.{place}"
        name, datatype = read_text(described, "name", field), read_text(described, "datatype", field)
        shape, data = read_shape(described, field), described.get("data")
        size = read_parameters(described, f"{field}.parameters").get("binary_data_size")
        if size is None:
            if type(data) is not list:
                problem = "must be an array, or parameters.binary_data_size must say what follows"
                raise wrong(f"{field}.data", problem + hint(described, "data"))
            tensors.append(Tensor(name, datatype, shape, data=data))
            continue
        if type(size) is not int or size < 0 or data is not None:
            raise wrong(f"{field}.parameters", "binary_data_size must be a number of bytes, and then there is no data")
        if size > len(binary) - used:
            raise wrong(f"{field}.parameters", f"binary_data_size says more than the {len(binary)} bytes that follow")
        tensors.append(Tensor(name, datatype, shape, part=binary[used : used + size]))
        used += size
    if used != len(binary):
        raise wrong("inputs", f"{len(binary)} bytes follow the JSON, but binary_data_size accounts for {used}")
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise wrong("inputs", "two tensors have the same name")
    return tuple(tensors)


def _outputs(wanted: list[Any], *, binary: bool) -> tuple[Output, ...]:
    """Return what to answer: the outputs that are asked for, in their order, or all."""
    outputs: dict[str, Output] = {}
    for place, described in enumerate(wanted):
        field = f"outputs.{place}"
        name = read_text(described, "name", field)
        if name not in OUTPUTS:
            raise wrong(f"{field}.name", f"must be one of {', '.join(OUTPUTS)}")
        if name in outputs:
            raise wrong(f"{field}.name", f"{name} is asked for twice")
        parameters = read_parameters(described, f"{field}.parameters")
        top = read_number(parameters, "classification")
        if top and name != CLASSIFIED:
            raise wrong(f"{field}.parameters", f"classification is of {CLASSIFIED} only")
        outputs[name] = Output(name, read_flag(parameters, "binary_data", default=binary), top)
    return tuple(outputs.values()) or _all_outputs(binary=binary)


def _all_outputs(*, binary: bool) -> tuple[Output, ...]:
    return tuple(Output(name, binary) for name in OUTPUTS)


def _strings(document: dict[str, Any]) -> int:
    """Return how many strings the document holds, names among them, if all that it holds is known and good."""
    described = [*(document.get("inputs") or ()), *(document.get("outputs") or ())]
    return sum(_strings_of(each) for each in (document, *described))


def _strings_of(described: dict[str, Any]) -> int:
    parameters: Iterable[Any] = (described.get("parameters") or {}).values()
    own = len(described) + sum(type(value) is str for value in described.values())
    return own + sum(2 if type(value) is str else 1 for value in parameters)
