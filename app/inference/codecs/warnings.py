"""Describe values that are unusual, and rows that get no answer.

Unusual is what is outside the training range, unseen or missing. This module must not know HTTP or torch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import numpy as np
import orjson

from app.errors import MAX_PROBLEMS, InvalidInput, Problem
from app.inference.predictions import OVERFLOW, Predictions, find_overflows
from app.schema import ModelSchema
from modelstore import CategoricalFeature, DatetimeFeature

MAX_WARNINGS = 100

_NULL = b"null"  # orjson writes NaN so


class Warnings:
    """Collect values that are unusual: outside the training range, unseen or missing, over all blocks of an answer."""

    def __init__(self) -> None:
        self._rows = 0
        self._listed: list[bytes] = []
        self._omitted = 0

    def note(self, predictions: Predictions) -> None:
        """Record the unusual values of a block."""
        first, self._rows = self._rows, self._rows + predictions.rows
        if predictions.batch.outside is None:
            return
        part = slice(predictions.start, predictions.stop)
        outside = predictions.batch.outside[part]
        values = predictions.batch.x[part][outside]  # (W,), in row-major order, as np.nonzero below
        room = MAX_WARNINGS - len(self._listed)
        self._omitted += max(0, len(values) - room)
        if len(values) and room:
            digits = orjson.dumps(values[:room], option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
            rows, columns = np.nonzero(outside)
            templates = _warning_templates(predictions.schema)
            for row, column, value in zip(rows.tolist(), columns.tolist(), digits, strict=False):
                missing, other = templates[column]
                self._listed.append(missing % (first + row) if value == _NULL else other(first + row, value))

    def skip(self) -> None:
        """Count a row without an answer, so that later rows keep their numbers."""
        self._rows += 1

    def json(self) -> bytes:
        """Return `,"warnings":[...]`, or empty bytes if there are none."""
        if not self._listed:
            return b""
        text = b',"warnings":[%b]' % b",".join(self._listed)
        return text + b',"warnings_omitted":%d' % self._omitted if self._omitted else text


Template = Callable[[int, bytes], bytes]
"""Writes a warning for a row and the digits of a cell."""


@functools.lru_cache(maxsize=256)
def _warning_templates(schema: ModelSchema) -> list[tuple[bytes, Template]]:
    """Return for each cell a template for a missing value, and one for a value that is present."""
    found: list[tuple[bytes, Template]] = []
    for feature, start in zip(schema.types, schema.starts, strict=True):
        head = b'{"row":%%d,"feature":%b,"value":' % orjson.dumps(feature.name).replace(b"%", b"%%")
        limits = orjson.dumps(np.array([schema.low[start], schema.high[start]]), option=orjson.OPT_SERIALIZE_NUMPY)
        present: Template = functools.partial(_outside, head + b'%b,"range":' + limits + b"}")
        if isinstance(feature, CategoricalFeature):
            present = functools.partial(_unseen, head + b'"unseen"}')
        elif isinstance(feature, DatetimeFeature):
            days = orjson.dumps([feature.min[:10], feature.max[:10]])
            present = functools.partial(_on_day, head + b'%b,"range":' + days + b"}")
        found += [(head + b'"missing"}', present)] * feature.width
    return found


def _outside(template: bytes, row: int, digits: bytes) -> bytes:
    return template % (row, digits)


def _unseen(template: bytes, row: int, _digits: bytes) -> bytes:
    return template % row


def _on_day(template: bytes, row: int, digits: bytes) -> bytes:
    day = np.datetime64(int(float(digits)), "D")
    return template % (row, orjson.dumps(str(day)))


def describe_warnings(predictions: Predictions, number: Callable[[int], int]) -> dict[int, Problem]:
    """Return the first unusual value of each row as a problem, by index, for requests that allow none.

    `number` returns the number of a row in the request.
    """
    outside, schema = predictions.batch.outside, predictions.schema
    found: dict[int, Problem] = {}
    if outside is None:
        return found
    part = slice(predictions.start, predictions.stop)
    x = predictions.batch.x[part]
    cells = [feature for feature in schema.types for _ in range(feature.width)]
    for row, cell in np.argwhere(outside[part]).tolist():
        feature = cells[cell]
        if np.isnan(x[row, cell]):
            problem = "is missing, which it was in no training row"
        elif isinstance(feature, CategoricalFeature):
            problem = "has a value that is not among the categories: not in the training rows, or too rare there"
        else:
            problem = "is outside the training range; GET /models/" + schema.name + " shows it"
        found.setdefault(row, Problem(number(row), feature.name, problem))
    return found


def find_bad_rows(
    predictions: Predictions, number: Callable[[int], int], *, strict: bool, most: int | None = MAX_PROBLEMS
) -> dict[int, Problem]:
    """Return what is wrong with each row that gets no answer, by index: it overflows, or is unusual and that matters.

    Args:
        predictions: those of one request.
        number: returns the number of a row in the request.
        strict: whether unusual values matter.
        most: number of rows that overflow to return at most; None for all.
    """
    bad = describe_warnings(predictions, number) if strict else {}
    return bad | {row: Problem(number(row), None, OVERFLOW) for row in find_overflows(predictions, most)}


def refusal(problems: Iterable[Problem], unit: str = "row", advice: str = "") -> InvalidInput:
    """Return the error for numbered bad rows, in their order; names the line or row of the first, and the column."""
    ordered = sorted(problems, key=lambda problem: problem.row or 0)
    first = ordered[0]
    where = f", column {first.feature!r}" if first.feature else ""
    return InvalidInput(f"{unit} {first.row}{where}: {first.problem}{advice}", tuple(ordered))
