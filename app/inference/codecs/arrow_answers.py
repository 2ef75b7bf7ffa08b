"""Write answers as Arrow IPC streams; needs the extra `arrow`.

This module must not know HTTP or torch.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.errors import Problem, ServingError
from app.inference.additions.added import AddedOutputs, facts_of, has_decision
from app.inference.codecs.arrow import CONTENT_TYPE
from app.inference.codecs.blocks import BINARY_BLOCK_ROWS, RowByRow
from app.inference.predictions import Predictions, column_names
from app.schema import ModelSchema

MAX_INT8_CLASSES = 127

_END = b"\xff\xff\xff\xff" + bytes(4)
_ALIGNMENT = 8  # alignment of the buffers in a message


class ArrowWriter(RowByRow):
    """Write record batches with `label`, `probability` and `probability_<class>`, or `value`; a skipped row is null.

    The policy of a decision is the metadata `decision` of the schema, unless a column has that name; what holds for
    all rows is metadata, too. Columns of additional answers come last, null where a row has none.

    Labels are a dictionary column, which pandas reads as categorical; it is much smaller and quicker than strings.
    """

    content_type = CONTENT_TYPE
    block_rows = BINARY_BLOCK_ROWS

    def __init__(self, model_schema: ModelSchema, added: AddedOutputs = ()) -> None:
        self._layout = _layout(model_schema, added)
        self._has_added = bool(added)

    def head(self) -> bytes:
        """Return the messages for the schema and the dictionary of labels."""
        return self._layout.head

    def rows(self, predictions: Predictions) -> bytes:
        """Return the rows of an answer as a record batch."""
        if self._has_added:
            added: bytes = self.record_batch(predictions).serialize().to_pybytes()
            return added
        columns = self._columns(predictions)
        parts: list[bytes | memoryview] = [_before_columns(self._layout, predictions.rows)]
        for column in columns.values():
            parts += (column.data, bytes(-column.nbytes % _ALIGNMENT))
        return b"".join(parts)

    def numbered_row(self, _number: int, predictions: Predictions | None, _problem: Problem | None) -> bytes:
        """Return one row, null if it has no answer. No row numbers: the output has one row per input row."""
        if predictions is not None:
            return self.rows(predictions)
        batch: bytes = _nulls(self._layout.schema, self._layout.labels, rows=1).serialize().to_pybytes()
        return batch

    def record_batch(self, predictions: Predictions) -> pa.RecordBatch:
        """Return the rows of an answer, with their additional columns, which may have nulls."""
        arrays = [pa.array(column) for column in self._columns(predictions).values()]
        if self._layout.labels is not None:
            arrays[0] = pa.DictionaryArray.from_arrays(arrays[0], self._layout.labels)
        if self._has_added:
            arrays += [pa.array(column, from_pandas=True) for column in predictions.added.columns()]
        return pa.RecordBatch.from_arrays(arrays, schema=self._layout.schema)

    def no_rows(self) -> pa.RecordBatch:
        """Return a record batch of no rows, with the schema and labels of all."""
        return _nulls(self._layout.schema, self._layout.labels, rows=0)

    def _columns(self, predictions: Predictions) -> dict[str, NDArray[Any]]:
        """Return the usual columns; labels are indices of the type that their dictionary has."""
        columns = predictions.columns
        if self._layout.labels is not None:
            columns["label"] = columns["label"].astype(self._layout.index.to_pandas_dtype(), copy=False)
        return columns

    def failure(self, _error: ServingError) -> bytes:
        """Return nothing: a stream without its end marker is recognisably cut off."""
        return b""

    def tail(self) -> bytes:
        """Return the end-of-stream marker."""
        return _END


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """Constants of all answers of a version: schema, type of the label indices, labels (None for a quantity), head."""

    schema: pa.Schema
    index: pa.DataType
    labels: pa.Array | None
    head: bytes


@functools.lru_cache(maxsize=256)
def _layout(model_schema: ModelSchema, added: AddedOutputs) -> _Layout:
    labels = pa.array(model_schema.classes) if model_schema.classes else None
    index = pa.int8() if len(model_schema.classes) <= MAX_INT8_CLASSES else pa.int32()
    kinds = {"label": pa.dictionary(index, pa.string())} if labels is not None else {}
    decision = None if has_decision(added) else model_schema.decision
    policy = {"decision": decision.policy} if decision else {}
    fields = [(name, kinds.get(name, pa.float32())) for name in column_names(model_schema)]
    fields += [(name, pa.string() if output.is_text else pa.float32()) for output in added for name in output.columns]
    schema = pa.schema(fields, policy | facts_of(added) or None)
    nothing = _nulls(schema, labels, rows=0)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(nothing)  # writes schema and dictionary before it
    return _Layout(schema, index, labels, sink.getvalue()[: -nothing.serialize().size - len(_END)])


@functools.lru_cache(maxsize=256)
def _before_columns(layout: _Layout, rows: int) -> bytes:
    """Return the header of a record batch without nulls, which states only the positions of its columns.

    The header and the columns, one after the other, form the message. pyarrow takes three times as long to build it
    from arrays.
    """
    batch = _zeros(layout.schema, layout.labels, rows)
    columns = [pa.float32().byte_width] * len(layout.schema)
    if layout.labels is not None:
        columns[0] = layout.index.byte_width
    body = sum(width * rows + -width * rows % _ALIGNMENT for width in columns)
    message = batch.serialize()
    head: bytes = message.slice(0, message.size - body).to_pybytes()
    return head


def _nulls(schema: pa.Schema, labels: pa.Array | None, rows: int) -> pa.RecordBatch:
    arrays = [pa.nulls(rows, field.type) for field in schema]
    if labels is not None:
        arrays[0] = pa.DictionaryArray.from_arrays(pa.nulls(rows, schema.field(0).type.index_type), labels)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _zeros(schema: pa.Schema, labels: pa.Array | None, rows: int) -> pa.RecordBatch:
    numbers = pa.array(np.zeros(rows, dtype=np.float32))
    if labels is None:
        return pa.RecordBatch.from_arrays([numbers] * len(schema), schema=schema)
    indices = pa.array(np.zeros(rows, dtype=np.int8)).cast(schema.field("label").type.index_type)
    label = pa.DictionaryArray.from_arrays(indices, labels)
    return pa.RecordBatch.from_arrays([label, *[numbers] * (len(schema) - 1)], schema=schema)
