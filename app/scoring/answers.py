"""Write the answers of a part, and join those of all parts to the output.

The answers of a part are those of `POST /predict`, in its own formats. This module must not know how rows are read.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from app.errors import Problem, ServingError
from app.inference.additions.added import AddedOutputs
from app.inference.codecs import arrow, csv, formats, ndjson
from app.inference.codecs.arrow_answers import ArrowWriter
from app.inference.codecs.blocks import BlockWriter, RowBlock
from app.inference.codecs.formats import BulkOptions
from app.inference.predictions import Predictions
from app.schema import ModelSchema

MOST_PROBLEMS = 10
_GROUP_ROWS, _GROUP_BYTES = 1 << 19, 32 << 20  # most rows of a row group of the output, and bytes of them in memory


def writer_of(kind: str, schema: ModelSchema, options: BulkOptions, added: AddedOutputs) -> BlockWriter:
    """Return the writer of the answers of a part, of content type `kind`."""
    if kind == arrow.CONTENT_TYPE and options.skip:
        return ErrorColumnWriter(schema, added)
    return formats.writers()[kind](schema, options, added)


class ErrorColumnWriter:
    """Write record batches like `ArrowWriter`, with a last column `error`; a bad row has nothing else."""

    content_type = arrow.CONTENT_TYPE
    block_rows = numbered_block_rows = ArrowWriter.block_rows

    def __init__(self, schema: ModelSchema, added: AddedOutputs = ()) -> None:
        self._answers = ArrowWriter(schema, added)
        nothing = self._answers.no_rows()
        self._schema = nothing.schema.append(pa.field("error", pa.string()))
        self._sink = io.BytesIO()
        self._stream = pa.ipc.new_stream(self._sink, self._schema)
        self._head = self._write(nothing, pa.nulls(0, pa.string()))  # before the first rows, though it is asked later

    def head(self) -> bytes:
        """Return the messages of the schema, the labels and a record batch of no rows."""
        return self._head

    def rows(self, predictions: Predictions) -> bytes:
        """Return rows without problems."""
        return self._write(self._answers.record_batch(predictions), pa.nulls(predictions.rows, pa.string()))

    def numbered_rows(self, predictions: Predictions, block: RowBlock) -> bytes:
        """Return the rows of a block; the order says their numbers."""
        if not block.bad:
            return self.rows(predictions)
        answers = self._answers.record_batch(predictions)
        errors = [str(block.bad[row]) if row in block.bad else None for row in range(predictions.rows)]
        places = [None if row in block.bad else row for row in range(predictions.rows)]
        return self._write(answers.take(pa.array(places, pa.int64())), pa.array(errors, pa.string()))

    def failure(self, _error: ServingError) -> bytes:
        """Return nothing."""
        return b""

    def tail(self) -> bytes:
        """Return the marker of the end."""
        self._stream.close()
        return self._take()

    def _write(self, answers: pa.RecordBatch, errors: pa.Array) -> bytes:
        self._stream.write_batch(pa.RecordBatch.from_arrays([*answers.columns, errors], schema=self._schema))
        return self._take()

    def _take(self) -> bytes:
        text = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return text


class CountingWriter:
    """Pass answers on to a writer, and count them.

    Attributes:
        rows_written: number of rows so far, with those that have a problem.
        bad: number of those that have.
        problems: the first of them.
        head_bytes: size of what stands before the first row.
    """

    def __init__(self, writer: BlockWriter) -> None:
        self._writer = writer
        self.content_type, self.block_rows = writer.content_type, writer.block_rows
        self.numbered_block_rows = writer.numbered_block_rows
        self.rows_written = self.bad = self.head_bytes = 0
        self.problems: list[Problem] = []

    def head(self) -> bytes:
        """Return what stands before the first row."""
        text = self._writer.head()
        self.head_bytes = len(text)
        return text

    def rows(self, predictions: Predictions) -> bytes:
        """Return rows without problems."""
        self.rows_written += predictions.rows
        return self._writer.rows(predictions)

    def numbered_rows(self, predictions: Predictions, block: RowBlock) -> bytes:
        """Return the rows of a block."""
        self.rows_written += predictions.rows
        self.bad += len(block.bad)
        self.problems += list(block.bad.values())[: MOST_PROBLEMS - len(self.problems)]
        return self._writer.numbered_rows(predictions, block)

    def failure(self, error: ServingError) -> bytes:
        """Return the end of answers that break off."""
        return self._writer.failure(error)

    def tail(self) -> bytes:
        """Return what stands after the last row."""
        return self._writer.tail()


class AnswersOutput(Protocol):
    """The output, to which the answers of all parts are added in order."""

    def add(self, answers: Path, head_bytes: int) -> None:
        """Add the answers of the next part, of which so many bytes stand before the first row."""

    def close(self) -> None:
        """Write what is left."""


class TextOutput:
    """Lines: the answers of the parts one after the other, with one header."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def add(self, answers: Path, head_bytes: int) -> None:
        """Add the answers of the next part."""
        with answers.open("rb") as file:
            file.seek(head_bytes if self._file.tell() else 0)
            shutil.copyfileobj(file, self._file, 1 << 20)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TableOutput:
    """A table whose record batches are put together, so that row groups do not depend on the parts."""

    def __init__(self, path: Path, open_table: Callable[[Path, pa.Schema], Any]) -> None:
        self._path, self._open = path, open_table
        self._table: Any = None
        self._waiting: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def add(self, answers: Path, _head_bytes: int) -> None:
        """Add the answers of the next part."""
        with pa.OSFile(str(answers)) as file, pa.ipc.open_stream(file) as stream:
            if self._table is None:
                self._table = self._open(self._path, stream.schema)
            for batch in stream:
                if self._rows + len(batch) > _GROUP_ROWS or self._bytes + batch.nbytes > _GROUP_BYTES:
                    self._write()
                self._waiting.append(batch)
                self._rows, self._bytes = self._rows + len(batch), self._bytes + batch.nbytes

    def close(self) -> None:
        """Write what is left, and the end of the table."""
        self._write()
        if self._table is not None:
            self._table.close()

    def _write(self) -> None:
        if self._rows:
            self._table.write_table(pa.Table.from_batches(self._waiting).combine_chunks())
        self._waiting, self._rows, self._bytes = [], 0, 0


def _open_parquet(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    texts = [field.name for field in schema if not pa.types.is_floating(field.type)]
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=texts)


def _open_arrow(path: Path, schema: pa.Schema) -> pa.ipc.RecordBatchFileWriter:
    return pa.ipc.new_file(str(path), schema)


OUTPUTS: dict[str, tuple[str, Callable[[Path], AnswersOutput]]] = {
    ".parquet": (arrow.CONTENT_TYPE, partial(TableOutput, open_table=_open_parquet)),
    ".csv": (csv.CONTENT_TYPE, TextOutput),
    ".ndjson": (ndjson.CONTENT_TYPE, TextOutput),
    ".jsonl": (ndjson.CONTENT_TYPE, TextOutput),
    ".arrow": (arrow.CONTENT_TYPE, partial(TableOutput, open_table=_open_arrow)),
}
"""Of each suffix of an output, in which format the parts are answered, and how they are joined."""
