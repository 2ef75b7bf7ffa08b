"""The precise JSON reader: slow, and right about what is wrong and where; it must not know HTTP or torch.

It never repeats a value that was sent: a message names the place and the kind of thing that stands there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np

from app.contract import Contract, Float32
from app.errors import MAX_PROBLEMS, InvalidInput, MalformedBody, Problem

MAX_DEPTH = 16  # nothing that is taken anywhere is half as deep

_TOO_DEEP = "the body is nested too deeply; rows are arrays or objects of numbers"
_MAX_DIGITS = 40
_TYPE_NAMES = {str: "a string", bool: "a boolean", type(None): "null", dict: "an object", list: "an array"}


def type_name(value: object) -> str:
    """Return what kind of JSON value this is, for messages."""
    return _TYPE_NAMES.get(type(value), "a number")


def parse(body: bytes) -> Any:
    """Parse JSON as RFC 8259 has it, but let NaN and Infinity through as numbers, to be refused with their place.

    Raises:
        MalformedBody: if it is not UTF-8, not JSON, nested too deeply, or an object has a name twice.
    """
    try:
        document = json.loads(body.decode("utf-8"), parse_int=_integer, object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise MalformedBody(f"the body must be UTF-8, byte {error.start} is not") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise MalformedBody(f"the body is not JSON: {error.msg.lower()} at {where}") from error
    except RecursionError as error:
        raise MalformedBody(_TOO_DEEP) from error
    _require_shallow(document)
    return document


def rows(instances: Sequence[Any], contract: Contract) -> Float32:
    """Return the rows in feature order, float32, shape (N, F), all finite.

    Raises:
        InvalidInput: with the first faults, each with its row and feature.
    """
    problems: list[Problem] = []
    values: list[list[float]] = []
    for index, row in enumerate(instances):
        if isinstance(row, dict):
            values.append(_named(index, row, contract, problems))
        elif isinstance(row, list):
            values.append(_positional(index, row, contract, problems))
        else:
            kind = f"must be an array of {len(contract.features)} numbers or an object by feature name"
            problems.append(Problem(index, None, f"{kind}, got {type_name(row)}"))
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        raise _invalid(problems, contract)
    return np.array(values, dtype=np.float64).astype(np.float32)  # (N, F)


def _positional(index: int, row: list[Any], contract: Contract, problems: list[Problem]) -> list[float]:
    if len(row) != len(contract.features):
        values = "1 value" if len(row) == 1 else f"{len(row)} values"
        problems.append(Problem(index, None, f"has {values}, {len(contract.features)} are expected"))
        return []
    return [_number(index, name, value, problems) for name, value in zip(contract.features, row, strict=True)]


def _named(index: int, row: dict[str, Any], contract: Contract, problems: list[Problem]) -> list[float]:
    missing = [Problem(index, name, "is missing") for name in contract.features if name not in row]
    unknown = [
        Problem(index, None, f"name {position} of the object is not a feature")
        for position, name in enumerate(row, start=1)
        if name not in contract.columns
    ]
    if missing or unknown:
        problems += missing + unknown
        return []
    return [_number(index, name, row[name], problems) for name in contract.features]


def _number(index: int, feature: str, value: object, problems: list[Problem]) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        problems.append(Problem(index, feature, f"must be a number, got {type_name(value)}"))
        return 0.0
    with np.errstate(over="ignore"):
        fits = bool(np.isfinite(np.float64(value).astype(np.float32)))
    if not fits:
        problems.append(Problem(index, feature, "must be a finite number within float32, at most 3.4e38 either way"))
    return value


def _invalid(problems: list[Problem], contract: Contract) -> InvalidInput:
    first = problems[0]
    place = f"row {first.row}" if first.feature is None else f"row {first.row}, feature {first.feature!r}"
    more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
    return InvalidInput(f"{place}: {first.problem}{more}. {contract.expectation}", tuple(problems))


def _integer(digits: str) -> int | float:
    """Read an integer; one beyond any float becomes infinity instead of Python's own limit on digits."""
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def _require_shallow(document: object) -> None:
    level = [document]
    for _ in range(MAX_DEPTH + 1):
        level = [child for node in level for child in _children(node) if isinstance(child, list | dict)]
        if not level:
            return
    raise MalformedBody(_TOO_DEEP)


def _children(node: object) -> Iterable[object]:
    return node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        _refuse_duplicate()
    return found


def _refuse_duplicate() -> NoReturn:
    raise MalformedBody("an object has the same name twice; say each name once")
