"""Write answers as JSON, with one object per row or by columns.

Numbers are float32 in the shortest decimal form that gives the same float32. This module must not know HTTP or torch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import orjson

from app.errors import Problem, ServingError
from app.inference.additions.added import Added, AddedOutputs, column_names, fact_fields, has_decision, json_of
from app.inference.codecs import frames
from app.inference.codecs.blocks import TEXT_BLOCK_ROWS, RowByRow
from app.inference.codecs.warnings import Warnings, find_bad_rows, refusal
from app.inference.predictions import Predictions
from app.schema import ModelSchema
from modelstore import Decision, Task

CONTENT_TYPE = "application/json"


class _Row(NamedTuple):
    """The constant text of a usual row.

    Attributes:
        labels: text of each class where it is the label of the row; empty without classes.
        before: text before each cell.
        closing: text behind the last cell, within the row.
    """

    labels: list[bytes]
    before: list[bytes]
    closing: bytes


def _row_of_class(schema: ModelSchema) -> _Row:
    labels = [orjson.dumps(label) for label in schema.classes]
    before = [(b"," if k else b',"probabilities":{') + label + b":" for k, label in enumerate(labels)]
    return _Row([b'{"label":%b,"probability":' % label for label in labels], [b"", b"", *before], b"}")


_ROW_OF: dict[Task, Callable[[ModelSchema], _Row]] = {
    "classification": _row_of_class,
    "regression": lambda _schema: _Row([], [b'{"value":'], b""),
}


@functools.lru_cache(maxsize=256)
def frame(schema: ModelSchema, between: bytes, added: AddedOutputs = (), *, alone: bool = False) -> frames.Frame:
    """Return the frame of `{"label": ..., "probability": ..., "probabilities": {...}}`, or `{"value": ...}`.

    A row whose label is not the most probable class has also the field `decision`, the policy that chose it; fields
    of additional answers come last, and behind them what holds for all rows, if each row stands `alone`.
    """
    labels, before, closing = _ROW_OF[schema.task](schema)
    cells = _added_fields if added else None
    end = fact_fields(added) + b"}" if alone else b"}"
    if schema.decision is not None and not has_decision(added):
        before = [*before, closing, b""] if added else [*before, closing]
        return frames.Frame(labels, before, end, between, _policy(schema.decision), cells)
    if added:
        return frames.Frame(labels, [*before, closing], end, between, added=cells)
    return frames.Frame(labels, before, closing + end, between)


def _added_fields(added: Added) -> list[list[bytes]]:
    """Return the fields of additional answers as one column of cells."""
    return [added.fields]


def _policy(decision: Decision) -> bytes:
    return b',"decision":%b' % orjson.dumps(decision.policy)


@functools.lru_cache(maxsize=256)
def _head(schema: ModelSchema) -> bytes:
    return b'{"model":"%s","version":%d,' % (schema.name.encode(), schema.version)


class RowsWriter(RowByRow):
    """Write `{"model", "version", "predictions": [...], "warnings": [...]}`, the last only if there are any."""

    content_type = CONTENT_TYPE
    block_rows = TEXT_BLOCK_ROWS

    def __init__(self, schema: ModelSchema, added: AddedOutputs = ()) -> None:
        self._schema = schema
        self._frame = frame(schema, b",", added)
        self._facts = fact_fields(added)
        self._warnings = Warnings()
        self._started = False

    def head(self) -> bytes:
        """Return the bytes before the first row."""
        return _head(self._schema)[:-1] + self._facts + b',"predictions":['

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

    If any label is not the most probable class, `decision` is the policy that chose the labels. Each column of
    additional answers is a field, as is what holds for all rows.
    """

    content_type = CONTENT_TYPE
    block_rows = TEXT_BLOCK_ROWS

    def __init__(self, schema: ModelSchema, added: AddedOutputs = ()) -> None:
        self._schema = schema
        self._added = AddedColumns(added)
        self._quoted = [orjson.dumps(label) for label in schema.classes]
        self._labels: list[bytes] = []
        self._policy = fact_fields(added)
        self._writes_policy = schema.decision is not None and not has_decision(added)
        self._warnings = Warnings()

    def head(self) -> bytes:
        """Return the bytes before the first row."""
        return _head(self._schema) + b'"classes":[%b],"probabilities":[' % b",".join(self._quoted)

    def rows(self, predictions: Predictions) -> bytes:
        """Return the rows of a block."""
        self._warnings.note(predictions)
        comma = b"," if self._labels else b""
        self._labels.append(b",".join([self._quoted[k] for k in predictions.best]))
        if self._writes_policy and self._schema.decision is not None and any(predictions.departs):
            self._policy, self._writes_policy = self._policy + _policy(self._schema.decision), False
        self._added.note(predictions)
        matrix = np.ascontiguousarray(predictions.outputs)
        return comma + orjson.dumps(matrix, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]

    def tail(self) -> bytes:
        """Return the bytes after the last row."""
        labels = b'],"labels":[%b]' % b",".join(self._labels)
        return labels + self._policy + self._added.json() + self._warnings.json() + b"}"


class ValuesWriter:
    """Write `{"model", "version", "values": (N,), "warnings"}` for a quantity."""

    content_type = CONTENT_TYPE
    block_rows = TEXT_BLOCK_ROWS

    def __init__(self, schema: ModelSchema, added: AddedOutputs = ()) -> None:
        self._schema = schema
        self._added = AddedColumns(added)
        self._facts = fact_fields(added)
        self._started = False
        self._warnings = Warnings()

    def head(self) -> bytes:
        """Return the bytes before the first row."""
        return _head(self._schema) + b'"values":['

    def rows(self, predictions: Predictions) -> bytes:
        """Return the rows of a block."""
        self._warnings.note(predictions)
        self._added.note(predictions)
        comma, self._started = b"," if self._started else b"", True
        return comma + b",".join(predictions.digits)

    def tail(self) -> bytes:
        """Return the bytes after the last row."""
        return b"]" + self._facts + self._added.json() + self._warnings.json() + b"}"


class AddedColumns:
    """The columns of additional answers, kept until all rows are known."""

    def __init__(self, outputs: AddedOutputs) -> None:
        self._texts: dict[str, list[bytes]] = {name: [] for name in column_names(outputs)}

    def note(self, predictions: Predictions) -> None:
        """Keep those of a block."""
        if self._texts:
            for texts, column in zip(self._texts.values(), predictions.added.columns(), strict=True):
                texts.append(json_of(column)[1:-1])

    def json(self) -> bytes:
        """Return a field for each column, with a comma before it."""
        return b"".join(b",%b:[%b]" % (orjson.dumps(name), b",".join(texts)) for name, texts in self._texts.items())


_COLUMNS_WRITER_OF: dict[Task, type[ColumnsWriter | ValuesWriter]] = {
    "classification": ColumnsWriter,
    "regression": ValuesWriter,
}


def columns_writer(schema: ModelSchema, added: AddedOutputs = ()) -> ColumnsWriter | ValuesWriter:
    """Return the writer of answers by columns for the schema's task."""
    return _COLUMNS_WRITER_OF[schema.task](schema, added)


@functools.lru_cache(maxsize=256)
def _one_row(schema: ModelSchema) -> list[bytes]:
    """Return templates of the answer to one row without warnings, for `BatchPredictions.fill`.

    With a decision, those of labels that are not the most probable class follow.
    """
    head = _head(schema).replace(b"%", b"%%") + b'"predictions":['
    labels, before, closing = _ROW_OF[schema.task](schema)
    numbers = before[1:] if labels else before
    each = b"".join(text.replace(b"%", b"%%") + b"%b" for text in numbers)
    notes = [b""] if schema.decision is None else [b"", _policy(schema.decision).replace(b"%", b"%%")]
    begins = [label.replace(b"%", b"%%") for label in labels or [b""]]
    return [head + begin + each + closing + note + b"}]}" for note in notes for begin in begins]


def write_answer(predictions: Predictions) -> bytes:
    """Return the whole JSON answer to one small request, which does not say whether it takes unusual values.

    Raises:
        InvalidInput: if a row overflows, or the version is strict and a row has such a value; names the rows.
    """
    batch = predictions.batch
    # The most common case, in a fifth of the time; `unusual` is known already.
    if predictions.rows == 1 and batch.finite and (batch.unusual is None or batch.outside is None):
        return batch.fill(_one_row(batch.schema), predictions.start)
    if bad := find_bad_rows(predictions, int, strict=batch.schema.strict):
        raise refusal(bad.values())
    writer = RowsWriter(predictions.schema)
    return b"".join((writer.head(), writer.rows(predictions), writer.tail()))
