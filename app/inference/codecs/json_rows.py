"""Convert the rows of JSON documents to float32.

A row is an array in feature order, or an object by feature name. The quick way is for well-formed rows and declines
all others; the precise way decides what is wrong and where. Both accept the same rows with the same bits. Messages
never repeat a client's value. This module must not know HTTP or torch.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import orjson

from app.errors import MAX_PROBLEMS, InvalidInput, Problem
from app.inference.codecs.columns import NUMBERS, json_type
from app.inference.codecs.strict_json import has_unique_names
from app.schema import Float32, ModelSchema
from modelstore.reading import SAME_NAME, repeated

_BLOCK_ROWS = 256


def plain_rows(document: bytes, schema: ModelSchema) -> Float32 | None:
    """Return the rows of a JSON array of rows, float32, shape (N, F); None if anything is unusual."""
    try:
        instances = orjson.loads(document)
    except orjson.JSONDecodeError:
        return None
    if not instances or not has_unique_names(document, names_in(instances)):
        return None
    return quick_rows(instances, schema)


def names_in(instances: list[Any]) -> int:
    """Return the number of names in rows if these are well-formed."""
    return sum(len(row) for row in instances if type(row) is dict) if type(instances[0]) is dict else 0


def quick_rows(instances: list[Any], schema: ModelSchema) -> Float32 | None:
    """Return the rows as float32, shape (N, F), all finite; None if any is not well-formed."""
    features = len(schema.features)
    if len(instances) == 1 and type(instances[0]) is list and len(instances[0]) == features:
        x = NUMBERS.floats(instances[0])
        return None if x is None else x.reshape(1, features)
    kinds = set(map(type, instances))
    if kinds == {list} and set(map(len, instances)) == {features}:
        rows: Iterable[Sequence[Any]] = instances
    elif kinds == {dict} and all(row.keys() == schema.columns.keys() for row in instances):
        rows = map(_picker(schema), instances)
    else:
        return None
    x = NUMBERS.floats(list(itertools.chain.from_iterable(rows)))
    return None if x is None else x.reshape(-1, features)  # (N, F)


@functools.lru_cache(maxsize=256)
def _picker(schema: ModelSchema) -> Callable[[dict[str, float]], Sequence[float]]:
    if len(schema.features) == 1:
        return lambda row: (row[schema.features[0]],)
    return operator.itemgetter(*schema.features)


def precise_rows(instances: Sequence[Any], schema: ModelSchema) -> Float32:
    """Return the rows in feature order, float32, shape (N, F), all finite.

    Raises:
        InvalidInput: if a row is invalid; holds the first problems, each with its row and feature.
    """
    problems: list[Problem] = []
    found: list[Float32] = []
    for first in range(0, len(instances), _BLOCK_ROWS):
        x = _block(first, instances[first : first + _BLOCK_ROWS], schema, problems)
        if len(problems) >= MAX_PROBLEMS:
            break
        if x is not None:
            found.append(x)
    if problems:
        raise _invalid(problems[:MAX_PROBLEMS], schema)
    return np.concatenate(found).reshape(-1, len(schema.features))  # (N, F)


def _block(first: int, instances: Sequence[Any], schema: ModelSchema, problems: list[Problem]) -> Float32 | None:
    """Return the values of some rows, float32, shape (n * F,); if one is invalid, add problems and return None."""
    faults: list[Problem] = []
    read = [_values(first + place, row, schema, faults) for place, row in enumerate(instances)]
    x = NUMBERS.floats(list(itertools.chain.from_iterable(read)))
    if x is None:  # checks single values only if one is invalid, since that takes a hundred times as long
        numbers, rows = zip(*((first + place, row) for place, row in enumerate(read) if row), strict=True)
        faults += _faults(numbers, rows, schema)
    problems += sorted(faults, key=lambda fault: fault.row or 0)
    return None if faults else x


def _values(index: int, row: object, schema: ModelSchema, problems: list[Problem]) -> Sequence[Any]:
    """Return the values of a row in feature order; if it is not a row, add a problem and return no values."""
    if isinstance(row, dict):
        return _named(index, row, schema, problems)
    if isinstance(row, list):
        return _positional(index, row, schema, problems)
    kind = f"must be an array of {len(schema.features)} numbers or an object by feature name"
    problems.append(Problem(index, None, f"{kind}, got {json_type(row)}"))
    return ()


def _positional(index: int, row: list[Any], schema: ModelSchema, problems: list[Problem]) -> list[Any]:
    if len(row) != len(schema.features):
        values = "1 value" if len(row) == 1 else f"{len(row)} values"
        problems.append(Problem(index, None, f"has {values}, {len(schema.features)} are expected"))
        return []
    return row


def _named(index: int, row: dict[str, Any], schema: ModelSchema, problems: list[Problem]) -> list[Any]:
    if row.keys() != schema.columns.keys():
        names = schema.recognised(row)
        if wrong := _wrong_names(index, names, schema):
            problems += wrong
            return []
        row = dict(zip(names, row.values(), strict=True))
    return [row[name] for name in schema.features]


def _wrong_names(index: int, names: list[str], schema: ModelSchema) -> list[Problem]:
    there = set(names)
    wrong = [Problem(index, name, "is missing") for name in schema.features if name not in there]
    wrong += [
        Problem(index, None, f"name {position} of the object is not a feature")
        for position, name in enumerate(names, start=1)
        if name not in schema.columns
    ]
    wrong += [
        Problem(index, name, f"is there twice, as names {first} and {second} of the object; {SAME_NAME}")
        for name, (first, second) in repeated(names).items()
        if name in schema.columns
    ]
    return wrong


def _faults(numbers: Sequence[int], rows: Sequence[Sequence[Any]], schema: ModelSchema) -> list[Problem]:
    """Return the first problems of rows that have all their values, looked for column by column."""
    found: list[tuple[int, int, str]] = []
    for column, values in enumerate(zip(*rows, strict=True)):
        wrong = itertools.islice(NUMBERS.problems(values), MAX_PROBLEMS)
        found += [(numbers[place], column, problem) for place, problem in wrong]
    return [Problem(row, schema.features[column], problem) for row, column, problem in sorted(found)[:MAX_PROBLEMS]]


def _invalid(problems: list[Problem], schema: ModelSchema) -> InvalidInput:
    first = problems[0]
    place = f"row {first.row}" if first.feature is None else f"row {first.row}, feature {first.feature!r}"
    more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
    return InvalidInput(f"{place}: {first.problem}{more}. {schema.expectation}", tuple(problems))
