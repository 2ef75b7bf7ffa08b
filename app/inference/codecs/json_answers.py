"""Write answers as JSON, with one object per row or by columns.

Numbers are float32 in the shortest decimal form that gives the same float32. This module must not know HTTP or torch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import orjson

from app.errors import Problem, ServingError
from app.inference.codecs import frames
from app.inference.codecs.blocks import TEXT_BLOCK_ROWS
from app.inference.predictions import Predictions
from app.schema import ModelSchema
from modelstore import CategoricalFeature, DatetimeFeature, Decision

CONTENT_TYPE = "application/json"
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

    Args:
        predictions: those of a block.
        number: returns the number of a row in the request.
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
            problem = "has a value that was not seen in training"
        else:
            problem = "is outside the training range; GET /models/" + schema.name + " shows it"
        found.setdefault(row, Problem(number(row), feature.name, problem))
    return found


@functools.lru_cache(maxsize=256)
def frame(schema: ModelSchema, between: bytes) -> frames.Frame:
    """Return the frame of `{"label": ..., "probability": ..., "probabilities": {...}}`, or `{"value": ...}`.

    A row whose label is not the most probable class ends with the field `decision`, the policy that chose it.
    """
    if schema.task == "regression":
        return frames.Frame([], [b'{"value":'], b"}", between)
    labels = [orjson.dumps(label) for label in schema.classes]
    begin = [b'{"label":%b,"probability":' % label for label in labels]
    before = [(b"," if k else b',"probabilities":{') + label + b":" for k, label in enumerate(labels)]
    if schema.decision is None:
        return frames.Frame(begin, [b"", b"", *before], b"}}", between)
    return frames.Frame(begin, [b"", b"", *before, b"}"], b"}", between, _policy(schema.decision))


def _policy(decision: Decision) -> bytes:
    return b',"decision":%b' % orjson.dumps(decision.policy)


@functools.lru_cache(maxsize=256)
def _head(schema: ModelSchema) -> bytes:
    return b'{"model":"%s","version":%d,' % (schema.name.encode(), schema.version)


class RowsWriter:
    """Write `{"model", "version", "predictions": [...], "warnings": [...]}`, the last only if there are any."""

    content_type = CONTENT_TYPE
    block_rows = TEXT_BLOCK_ROWS

    def __init__(self, schema: ModelSchema) -> None:
        self._schema = schema
        self._frame = frame(schema, b",")
        self._warnings = Warnings()
        self._started = False

    def head(self) -> bytes:
        """Return the bytes before the first row."""
        return _head(self._schema) + b'"predictions":['

    def rows(self, predictions: Predictions) -> bytes:
        """Return the rows of a block."""
        self._warnings.note(predictions)
        comma, self._started = b"," if self._started else b"", True
        return comma + frames.write(predictions, self._frame)

    def tail(self) -> bytes:
        """Return the bytes after the last row."""
        return b"]" + self._warnings.json() + b"}"

    def numbered_row(self, number: int, predictions: Predictions | None, problem: Problem | None) -> bytes:
        """Return one row with its number in the request: its answer or its problem."""
        if predictions is not None:
            text = self.rows(predictions)
            comma = text[:1] if text[:1] == b"," else b""
            return b'%b{"line":%d,%b' % (comma, number, text[len(comma) + 1 :])
        self._warnings.skip()
        comma, self._started = b"," if self._started else b"", True
        wrong = {"feature": problem.feature, "problem": problem.problem} if problem else None
        return comma + orjson.dumps({"line": number, "error": wrong})

    def failure(self, error: ServingError) -> bytes:
        """Return the end of an answer that breaks off; the text is valid JSON, but the HTTP body stays unterminated."""
        return b'],"error":' + orjson.dumps({"detail": str(error)}) + b"}"


class ColumnsWriter:
    """Write `{"model", "version", "classes", "probabilities": (N, K), "labels": (N,), "warnings"}`; much smaller.

    If any label is not the most probable class, `decision` is the policy that chose the labels.
    """

    content_type = CONTENT_TYPE
    block_rows = TEXT_BLOCK_ROWS

    def __init__(self, schema: ModelSchema) -> None:
        self._schema = schema
        self._quoted = [orjson.dumps(label) for label in schema.classes]
        self._labels: list[bytes] = []
        self._policy = b""
        self._warnings = Warnings()

    def head(self) -> bytes:
        """Return the bytes before the first row."""
        return _head(self._schema) + b'"classes":[%b],"probabilities":[' % b",".join(self._quoted)

    def rows(self, predictions: Predictions) -> bytes:
        """Return the rows of a block."""
        self._warnings.note(predictions)
        comma = b"," if self._labels else b""
        self._labels.append(b",".join([self._quoted[k] for k in predictions.best]))
        if self._schema.decision is not None and any(predictions.departs):
            self._policy = _policy(self._schema.decision)
        matrix = np.ascontiguousarray(predictions.outputs)
        return comma + orjson.dumps(matrix, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]

    def tail(self) -> bytes:
        """Return the bytes after the last row."""
        return b'],"labels":[%b]' % b",".join(self._labels) + self._policy + self._warnings.json() + b"}"


class ValuesWriter:
    """Write `{"model", "version", "values": (N,), "warnings"}` for a quantity."""

    content_type = CONTENT_TYPE
    block_rows = TEXT_BLOCK_ROWS

    def __init__(self, schema: ModelSchema) -> None:
        self._schema = schema
        self._started = False
        self._warnings = Warnings()

    def head(self) -> bytes:
        """Return the bytes before the first row."""
        return _head(self._schema) + b'"values":['

    def rows(self, predictions: Predictions) -> bytes:
        """Return the rows of a block."""
        self._warnings.note(predictions)
        comma, self._started = b"," if self._started else b"", True
        return comma + b",".join(predictions.digits)

    def tail(self) -> bytes:
        """Return the bytes after the last row."""
        return b"]" + self._warnings.json() + b"}"


def columns_writer(schema: ModelSchema) -> ColumnsWriter | ValuesWriter:
    """Return the writer of answers by columns for the schema's task."""
    return ValuesWriter(schema) if schema.task == "regression" else ColumnsWriter(schema)


@functools.lru_cache(maxsize=256)
def _one_row(schema: ModelSchema) -> list[bytes]:
    """Return templates of the answer to one row without warnings, for `BatchPredictions.fill`.

    With a decision, those of labels that are not the most probable class follow.
    """
    head = _head(schema).replace(b"%", b"%%") + b'"predictions":['
    row = frame(schema, b"")
    if schema.task == "regression":
        return [head + row.before[0] + b"%b" + row.end + b"]}"]
    before = row.before[1 : 2 + len(row.labels)]
    each = b"".join(text.replace(b"%", b"%%") + b"%b" for text in before)
    if row.note is None:
        ends = [row.end]
    else:
        closing = row.before[-1]
        ends = [closing + row.end, closing + row.note.replace(b"%", b"%%") + row.end]
    return [head + label.replace(b"%", b"%%") + each + end + b"]}" for end in ends for label in row.labels]


def write_answer(predictions: Predictions) -> bytes:
    """Return the whole JSON answer to one small request."""
    batch = predictions.batch
    if batch.outside is None and predictions.rows == 1:  # the most common case, in a fifth of the time
        return batch.fill(_one_row(batch.schema), predictions.start)
    writer = RowsWriter(predictions.schema)
    return b"".join((writer.head(), writer.rows(predictions), writer.tail()))
