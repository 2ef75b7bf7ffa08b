"""Convert the rows of JSON documents to cells.

A row is an array in feature order, or an object by feature name. The quick way is for well-formed rows and declines
all others; the precise way decides what is wrong and where. Both accept the same rows with the same bits. Messages
never repeat a client's value. This module must not know HTTP or torch.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from app.errors import MAX_PROBLEMS, InvalidInput, Problem
from app.inference.codecs.columns import NUMBERS, json_type
from app.inference.codecs.headers import name_problems
from app.inference.codecs.rows import converter_for
from app.inference.codecs.strict_json import DigitsLost, has_unique_names
from app.schema import Float32, ModelSchema

_BLOCK_ROWS = 256


def plain_rows(document: bytes, schema: ModelSchema) -> Float32 | None:
    """Return the rows of a JSON array of rows as cells, float32, shape (N, W); None if anything is unusual."""
    try:
        instances = orjson.loads(document)
    except orjson.JSONDecodeError:
        return None
    if not instances or not rows_have_unique_names(document, instances, 0):
        return None
    try:
        return quick_rows(instances, schema)
    except DigitsLost:
        return None


def rows_have_unique_names(document: bytes, instances: list[Any], others: int) -> bool:
    """Return whether a document of rows surely has no duplicate names; see `has_unique_names`.

    Args:
        document: the text.
        instances: its rows.
        others: number of strings of the document that are not in its rows.
    """
    names = sum(len(row) for row in instances if type(row) is dict) if type(instances[0]) is dict else 0
    if has_unique_names(document, names + others):
        return True
    rows = (row.values() if type(row) is dict else row for row in instances if type(row) in (dict, list))
    return has_unique_names(document, names + others + sum(list(map(type, row)).count(str) for row in rows))


def quick_rows(instances: list[Any], schema: ModelSchema) -> Float32 | None:
    """Return the rows as cells, float32, shape (N, W); None if any is not well-formed.

    Raises:
        DigitsLost: if the digits of a number matter, and the fast parser may have lost some.
    """
    features = len(schema.features)
    if len(instances) == 1 and type(instances[0]) is list and len(instances[0]) == features:
        x = NUMBERS.floats(instances[0]) if schema.all_numbers else None
        if x is None:
            return converter_for(schema).row(instances[0])
        return x.reshape(1, features)
    kinds = set(map(type, instances))
    if kinds == {list} and set(map(len, instances)) == {features}:
        rows: Sequence[Sequence[Any]] = instances
    elif kinds == {dict} and all(row.keys() == schema.columns.keys() or _is_raw(row, schema) for row in instances):
        rows = list(map(_make_picker(schema), instances))
    else:
        return None
    return converter_for(schema).row(rows[0]) if len(rows) == 1 else converter_for(schema).rows(rows)


def _is_raw(row: dict[str, Any], schema: ModelSchema) -> bool:
    """Return whether an object has all required features, as the model spells them, and no unknown names."""
    names, features = row.keys(), schema.columns.keys()
    return features - names <= schema.optional and names - features <= schema.ignored


@functools.lru_cache(maxsize=256)
def _make_picker(schema: ModelSchema) -> Callable[[dict[str, Any]], Sequence[Any]]:
    if schema.optional:
        return lambda row: [row.get(name) for name in schema.features]
    if len(schema.features) == 1:
        return lambda row: (row[schema.features[0]],)
    return operator.itemgetter(*schema.features)


def precise_rows(
    instances: Sequence[Any], schema: ModelSchema, *, ignore_extra: bool = False, id_column: str | None = None
) -> Float32:
    """Return the rows as cells, float32, shape (N, W); objects may also have the name of the ids.

    Raises:
        InvalidInput: if a row is invalid; holds the first problems, each with its row and feature.
        DigitsLost: see `quick_rows`.
    """
    problems: list[Problem] = []
    found: list[Float32] = []
    for first in range(0, len(instances), _BLOCK_ROWS):
        reading = _Reading(schema, [], ignore_extra, id_column)
        x = reading.read_block(first, instances[first : first + _BLOCK_ROWS])
        problems += sorted(reading.faults, key=lambda fault: fault.row or 0)
        if len(problems) >= MAX_PROBLEMS:
            break
        if x is not None:
            found.append(x)
    if problems:
        raise _invalid(problems[:MAX_PROBLEMS], schema)
    return np.concatenate(found)  # (N, W)


@dataclass(frozen=True, slots=True)
class _Reading:
    """Read rows one by one, and keep what is wrong with them."""

    schema: ModelSchema
    faults: list[Problem]
    ignore_extra: bool
    id_column: str | None

    def read_block(self, first: int, instances: Sequence[Any]) -> Float32 | None:
        """Return some rows as cells, shape (n, W); if one is invalid, add its problems and return None."""
        read = {
            first + place: values
            for place, row in enumerate(instances)
            if (values := self._read_values(first + place, row))
        }
        rows = list(read.values())
        x = converter_for(self.schema).rows(rows) if rows else None
        if x is None and rows:  # checks single values only if one is invalid, since that takes a hundred times as long
            self.faults.extend(converter_for(self.schema).find_faults(list(read), rows))
        return None if self.faults else x

    def _read_values(self, index: int, row: object) -> Sequence[Any]:
        """Return the values of a row in feature order; if it is not a row, add a problem and return no values."""
        if isinstance(row, dict):
            return self._order_fields(index, row)
        if isinstance(row, list):
            return self._check_positional(index, row)
        kind = f"must be an array of {len(self.schema.features)} values or an object by feature name"
        self.faults.append(Problem(index, None, f"{kind}, got {json_type(row)}"))
        return ()

    def _check_positional(self, index: int, row: list[Any]) -> list[Any]:
        if len(row) != len(self.schema.features):
            self.faults.append(Problem(index, None, describe_wrong_length(len(row), len(self.schema.features))))
            return []
        return row

    def _order_fields(self, index: int, row: dict[str, Any]) -> list[Any]:
        if row.keys() != self.schema.columns.keys():
            names = self.schema.spell_as_features(row)
            if wrong := name_problems(
                names, self.schema, ignore_extra=self.ignore_extra, row=index, id_column=self.id_column
            ):
                self.faults.extend(wrong)
                return []
            row = dict(zip(names, row.values(), strict=True))
        return [row.get(name) for name in self.schema.features]


def describe_wrong_length(got: int, expected: int) -> str:
    """Return that a row has another number of values than expected."""
    return f"has {'1 value' if got == 1 else f'{got} values'}, {expected} are expected"


def _invalid(problems: list[Problem], schema: ModelSchema) -> InvalidInput:
    first = problems[0]
    place = f"row {first.row}" if first.feature is None else f"row {first.row}, feature {first.feature!r}"
    more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
    return InvalidInput(f"{place}: {first.problem}{more}. {schema.expectation}", tuple(problems))
