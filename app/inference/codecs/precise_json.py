"""The precise JSON reader: slow, but exact about what is wrong and where.

Error messages never repeat a client's value; they name its position and its type. This module must not know HTTP or
torch.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn, cast

import numpy as np

from app.errors import MAX_PROBLEMS, InvalidInput, MalformedBody, Problem
from app.schema import Contract, Float32, packed
from modelstore.reading import SAME_NAME, repeated

MAX_DEPTH = 16  # no valid body is half as deep

# A fast parser reads this much in about 15 ms, during which it holds the interpreter and so blocks all threads. Larger
# bodies that cannot be read in steps are read here, where threads take turns.
MOST_AT_ONCE_BYTES = 1 << 20

_TOO_DEEP = "the body is nested too deeply; rows are arrays or objects of numbers"
_MAX_DIGITS = 40
_BLOCK_ROWS = 256
_MAX_NAMES = 100_000
_NUMBERS = frozenset((int, float))  # not bool, which is a subclass of int
_TYPE_NAMES = {str: "a string", bool: "a boolean", type(None): "null", dict: "an object", list: "an array"}


def type_name(value: object) -> str:
    """Return the name of a JSON value's type, for messages."""
    return _TYPE_NAMES.get(type(value), "a number")


def parse(body: bytes) -> Any:
    """Parse JSON by RFC 8259, but accept NaN and Infinity as numbers, to be refused later with their position.

    Raises:
        MalformedBody: if the body is not UTF-8, not JSON, nested too deeply, or an object has a duplicate name.
    """
    try:
        document = json.loads(body.decode("utf-8"), parse_int=_integer, parse_float=_float, object_pairs_hook=_object)
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
        InvalidInput: if a row is invalid; holds the first problems, each with its row and feature.
    """
    problems: list[Problem] = []
    found: list[Float32] = []
    for first in range(0, len(instances), _BLOCK_ROWS):
        x = _block(first, instances[first : first + _BLOCK_ROWS], contract, problems)
        if len(problems) >= MAX_PROBLEMS:
            break
        if x is not None:
            found.append(x)
    if problems:
        raise _invalid(problems[:MAX_PROBLEMS], contract)
    return np.concatenate(found).reshape(-1, len(contract.features))  # (N, F)


def _block(first: int, instances: Sequence[Any], contract: Contract, problems: list[Problem]) -> Float32 | None:
    """Return the values of some rows, float32, shape (n * F,); if one is invalid, add problems and return None."""
    faults: list[Problem] = []
    rows = [_values(first + place, row, contract, faults) for place, row in enumerate(instances)]
    values = list(itertools.chain.from_iterable(rows))
    x = packed(values, len(values)) if _NUMBERS.issuperset(map(type, values)) else None
    if x is None:  # checks single values only if one is invalid, since that takes a hundred times as long
        wrong = (fault for place, row in enumerate(rows) for fault in _faults(first + place, row, contract))
        faults += itertools.islice(wrong, MAX_PROBLEMS)
    problems += sorted(faults, key=lambda fault: fault.row or 0)
    return None if faults else x


def _values(index: int, row: object, contract: Contract, problems: list[Problem]) -> Sequence[Any]:
    """Return the values of a row in feature order; if it is not a row, add a problem and return no values."""
    if isinstance(row, dict):
        return _named(index, row, contract, problems)
    if isinstance(row, list):
        return _positional(index, row, contract, problems)
    kind = f"must be an array of {len(contract.features)} numbers or an object by feature name"
    problems.append(Problem(index, None, f"{kind}, got {type_name(row)}"))
    return ()


def _positional(index: int, row: list[Any], contract: Contract, problems: list[Problem]) -> list[Any]:
    if len(row) != len(contract.features):
        values = "1 value" if len(row) == 1 else f"{len(row)} values"
        problems.append(Problem(index, None, f"has {values}, {len(contract.features)} are expected"))
        return []
    return row


def _named(index: int, row: dict[str, Any], contract: Contract, problems: list[Problem]) -> list[Any]:
    if row.keys() != contract.columns.keys():
        names = contract.recognised(row)
        if wrong := _wrong_names(index, names, contract):
            problems += wrong
            return []
        row = dict(zip(names, row.values(), strict=True))
    return [row[name] for name in contract.features]


def _wrong_names(index: int, names: list[str], contract: Contract) -> list[Problem]:
    there = set(names)
    wrong = [Problem(index, name, "is missing") for name in contract.features if name not in there]
    wrong += [
        Problem(index, None, f"name {position} of the object is not a feature")
        for position, name in enumerate(names, start=1)
        if name not in contract.columns
    ]
    wrong += [
        Problem(index, name, f"is there twice, as names {first} and {second} of the object; {SAME_NAME}")
        for name, (first, second) in repeated(names).items()
        if name in contract.columns
    ]
    return wrong


def _faults(index: int, values: Sequence[object], contract: Contract) -> Iterator[Problem]:
    for feature, value in zip(contract.features, values, strict=False):  # an invalid row has no values
        if type(value) not in _NUMBERS:
            yield Problem(index, feature, f"must be a number, got {type_name(value)}")
        elif packed((cast("float", value),), 1) is None:
            yield Problem(index, feature, "must be a finite number within float32, at most 3.4e38 either way")


def _invalid(problems: list[Problem], contract: Contract) -> InvalidInput:
    first = problems[0]
    place = f"row {first.row}" if first.feature is None else f"row {first.row}, feature {first.feature!r}"
    more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
    return InvalidInput(f"{place}: {first.problem}{more}. {contract.expectation}", tuple(problems))


def _integer(digits: str) -> int | float:
    """Read an integer; one beyond the float range becomes infinity, so Python's limit on digits does not apply."""
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def _float(digits: str) -> float:
    """Read a number like `float`; as a Python function, it lets other threads run within a large document."""
    return float(digits)


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
    if len(pairs) > _MAX_NAMES:
        raise MalformedBody(f"an object has more than {_MAX_NAMES} names")
    found = dict(pairs)
    if len(found) != len(pairs):
        _refuse_duplicate()
    return found


def _refuse_duplicate() -> NoReturn:
    raise MalformedBody("an object has the same name twice; say each name once")
