"""Tensors of the protocol: valid requests, and checks of what comes back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tabserve.conformance.rules import CannotCheck, require
from tabserve.errors import WrongInput

DATATYPES = {
    "BOOL": (bool, int),
    **{f"{sign}INT{bits}": (int,) for sign in ("", "U") for bits in (8, 16, 32, 64)},
    "FP16": (int, float),
    "BF16": (int, float),
    "FP32": (int, float),
    "FP64": (int, float),
    "BYTES": (str,),
}
"""Datatypes of the protocol, and the JSON values of each."""

_MOST_VALUES = 1 << 20  # of one tensor in a request
_TYPICAL: dict[str, Any] = {"BOOL": True, "BYTES": ""}


def read_request(file: Path) -> dict[str, Any]:
    """Return the inference request in a JSON file.

    Raises:
        WrongInput: if it is none.
    """
    try:
        request: Any = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise WrongInput(f"{file} is no JSON: {error}") from error
    inputs = request.get("inputs") if isinstance(request, dict) else None
    if not isinstance(inputs, list) or not inputs or not all(isinstance(each, dict) for each in inputs):
        raise WrongInput(f'{file} must hold a request such as {{"inputs": [{{"name": ...}}]}}')
    for place, each in enumerate(inputs):
        if missing := [name for name in ("name", "datatype", "shape", "data") if name not in each]:
            raise WrongInput(
                f"{file}: input {place} lacks {', '.join(missing)}; binary tensors have no place in a file"
            )
    found: dict[str, Any] = request
    return found


def typical_request(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request of one row for the inputs that a model describes: ones, true, and empty texts.

    Raises:
        CannotCheck: if it describes none, or one that is too large.
    """
    described = metadata.get("inputs") or []
    if not described:
        raise CannotCheck("the model's metadata describe no inputs; pass a request by --request")
    return {"inputs": [_tensor(each) for each in described]}


def flat(data: Any) -> list[Any]:
    """Return data that may be nested as one list."""
    return [each for part in data for each in flat(part)] if isinstance(data, list) else [data]


def require_metadata(tensors: object, what: str) -> None:
    """Check the description of inputs or outputs.

    Raises:
        RuleBroken.
    """
    require(isinstance(tensors, list), f"{what} must be an array")
    assert isinstance(tensors, list)
    for each in tensors:
        require(isinstance(each, dict) and isinstance(each.get("name"), str), f"each of {what} needs a name")
        require(each.get("datatype") in DATATYPES, f"{each['name']}: datatype {each.get('datatype')!r} is none")
        require(_is_shape(each.get("shape"), least=-1), f"{each['name']}: shape must be integers from -1")


def require_output(output: object) -> None:
    """Check one output of an answer in JSON.

    Raises:
        RuleBroken.
    """
    require(isinstance(output, dict), "each output must be an object")
    assert isinstance(output, dict)
    name, datatype, data = output.get("name"), output.get("datatype"), output.get("data")
    require(isinstance(name, str), "each output needs a name")
    require(datatype in DATATYPES, f"output {name}: datatype {datatype!r} is none of the protocol's")
    require(_is_shape(output.get("shape"), least=0), f"output {name}: shape must be integers from 0")
    require(isinstance(data, list), f"output {name}: data must be an array")
    values, wanted = flat(data), math.prod(output["shape"])
    require(len(values) == wanted, f"output {name}: {len(values)} values, but the shape holds {wanted}")
    wrong = [value for value in values if value is not None and not isinstance(value, DATATYPES[str(datatype)])]
    require(not wrong, f"output {name}: values of {datatype} must not be {type(wrong[0]).__name__}" if wrong else "")


def _is_shape(shape: object, least: int) -> bool:
    return isinstance(shape, list) and all(type(size) is int and size >= least for size in shape)


def _tensor(described: Mapping[str, Any]) -> dict[str, Any]:
    shape = [1 if size < 0 else size for size in described.get("shape", [])]
    size = math.prod(shape)
    if size > _MOST_VALUES:
        raise CannotCheck(f"{described['name']} has {size} values in a row; pass a request by --request")
    data = [_TYPICAL.get(described["datatype"], 1)] * size
    return {"name": described["name"], "datatype": described["datatype"], "shape": shape, "data": data}
