"""Validate the fields of an inference request.

An error names the field, but never repeats its value.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any

from app.errors import wrong_field
from app.inference.decision import Override
from app.inference.options import PredictionOptions, read_flat
from modelstore import wording

MAX_TENSORS = 4096
MAX_RANK = 8
MAX_ID_CHARACTERS = 1024
MAX_NUMBER = 1 << 53

_NAMES = frozenset(("id", "parameters", "inputs", "outputs", "name", "shape", "datatype", "data"))
_MOST_NAMES = 100
_SIMPLE = frozenset((str, int, float, bool))
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_objects(document: dict[str, Any], field: str) -> list[Any]:
    """Return an array of objects; an empty list if the field is absent."""
    value = document.get(field)
    if value is None:
        return []
    if type(value) is not list or len(value) > MAX_TENSORS or any(type(each) is not dict for each in value):
        raise wrong_field(field, f"must be an array of objects, at most {MAX_TENSORS}")
    return value


def read_shape(described: dict[str, Any], field: str) -> tuple[int, ...]:
    """Return the shape of a tensor, as Python integers, which do not overflow."""
    shape = described.get("shape")
    if type(shape) is not list or len(shape) > MAX_RANK or any(type(size) is not int or size < 0 for size in shape):
        problem = f"must be an array of whole numbers from 0, at most {MAX_RANK}{hint(described, 'shape')}"
        raise wrong_field(f"{field}.shape", problem)
    return tuple(shape)


def read_text(described: dict[str, Any], name: str, field: str) -> str:
    """Return a required string."""
    value = described.get(name)
    if type(value) is not str:
        raise wrong_field(f"{field}.{name}", f"must be a string{hint(described, name)}")
    return value


def read_id(value: object) -> str | None:
    """Return the id of the request, if any; it is safe to write as JSON again."""
    if value is None:
        return None
    if type(value) is not str or len(value) > MAX_ID_CHARACTERS or _SURROGATE.search(value):
        raise wrong_field("id", f"must be a string of at most {MAX_ID_CHARACTERS} characters")
    return value


def read_parameters(described: dict[str, Any], field: str) -> dict[str, Any]:
    """Return the parameters, empty if absent; unknown ones are accepted, as by other servers."""
    parameters = described.get("parameters")
    if parameters is None:
        return {}
    if type(parameters) is not dict or not _SIMPLE.issuperset(map(type, parameters.values())):
        raise wrong_field(field, "must be an object of strings, numbers and booleans")
    return parameters


def read_flag(parameters: dict[str, Any], name: str, *, default: bool) -> bool:
    """Return a boolean parameter."""
    value = parameters.get(name, default)
    if type(value) is not bool:
        raise wrong_field(f"parameters.{name}", "must be true or false")
    return value


def read_number(parameters: dict[str, Any], name: str) -> int:
    """Return a parameter that is a whole number from 0; 0 if it is absent."""
    value = parameters.get(name, 0)
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise wrong_field(f"parameters.{name}", "must be a whole number from 0")
    return value


def read_options(parameters: dict[str, Any]) -> PredictionOptions:
    """Return what the parameters ask for in place of, or beside, the usual answer."""
    strict = read_flag(parameters, "strict", default=False) if "strict" in parameters else None
    return replace(read_flat(parameters, "parameters."), strict=strict, override=_read_override(parameters))


def _read_override(parameters: dict[str, Any]) -> Override | None:
    """Return the decision in the parameters: `decision` argmax, or `threshold`; None if there is none."""
    decision, threshold = parameters.get("decision"), parameters.get("threshold")
    if decision not in (None, "argmax"):
        raise wrong_field("parameters.decision", "must be argmax")
    if threshold is None:
        return None if decision is None else Override()
    if type(threshold) not in (int, float) or not 0 < threshold < 1 or decision is not None:
        raise wrong_field("parameters.threshold", "must be a number between 0 and 1, without decision beside it")
    return Override(float(threshold))


def hint(described: dict[str, Any], field: str) -> str:
    """Return a hint to append to an error if the field is missing but a misspelt name of it is present."""
    if described.get(field) is not None:
        return ""
    for name in itertools.islice(described, _MOST_NAMES):
        if name not in _NAMES and wording.closest_name(name, (field,)):
            return f"; there is {name}, perhaps {field} is meant"
    return ""
