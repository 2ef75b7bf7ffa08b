"""Read rows from the record batches of a file.

This module must not know how a file is cut, or how answers are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from app.inference.codecs.arrow_columns import blocks_of
from app.inference.codecs.arrow_schema import feature_places
from app.inference.codecs.blocks import BINARY_PIECE_BYTES, RowBlock
from app.schema import ModelSchema
from app.scoring.parts import Part, read_range

_BUFFER_BYTES = 1 << 20  # of each column that is being read, so that a large row group is never whole in memory
_BATCH_ROWS = 1 << 16


class Columns(NamedTuple):
    """Record batches, and the name of each feature in them; None for an optional one that is not there."""

    batches: Iterator[pa.RecordBatch]
    names: list[str | None]


class ColumnReader:
    """Read record batches as the rows of a body that is empty itself."""

    unit = "row"
    piece_bytes = BINARY_PIECE_BYTES
    blank_lines = held_bytes = 0

    def __init__(self, columns: Columns, schema: ModelSchema, first: int) -> None:
        self._columns, self._schema, self._row = columns, schema, first

    def feed(self, _data: bytes) -> Iterator[RowBlock]:
        """Yield nothing."""
        yield from ()

    def finish(self) -> Iterator[RowBlock]:
        """Yield all rows."""
        for batch in self._columns.batches:
            batch.validate(full=True)
            found = [pa.nulls(len(batch)) if name is None else batch.column(name) for name in self._columns.names]
            yield from blocks_of(found, self._schema, self._row)
            self._row += len(batch)


def parquet_columns(part: Part, schema: ModelSchema, *, ignore_extra: bool) -> Columns:
    """Return the features in the row groups of a part.

    Raises:
        InvalidInput: if the columns do not fit the version.
    """
    file = pq.ParquetFile(part.source.path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
    names = _names(schema, file.schema_arrow, ignore_extra=ignore_extra)
    ((begin, end),) = part.ranges
    wanted = [name for name in names if name is not None]
    batches = file.iter_batches(_BATCH_ROWS, row_groups=range(begin, end), columns=wanted, use_threads=False)
    return Columns(batches, names)


def arrow_columns(part: Part, schema: ModelSchema, *, ignore_extra: bool) -> Columns:
    """Return the features in the record batches of a part; see `parquet_columns`."""
    with part.source.path.open("rb") as file:
        stream = pa.py_buffer(b"".join(read_range(file, begin, end) for begin, end in part.ranges))
    whole = pa.ipc.open_stream(stream).schema
    names = _names(schema, whole, ignore_extra=ignore_extra)
    there = sorted(whole.get_field_index(name) for name in names if name is not None)
    options = pa.ipc.IpcReadOptions(included_fields=there, use_threads=False)
    return Columns(iter(pa.ipc.open_stream(stream, options=options)), names)


def _names(schema: ModelSchema, columns: pa.Schema, *, ignore_extra: bool) -> list[str | None]:
    places = feature_places(schema, columns, ignore_extra=ignore_extra)
    return [None if at is None else columns.names[at] for at in places]
