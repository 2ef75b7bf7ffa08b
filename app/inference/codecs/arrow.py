"""Read rows from Arrow IPC streams; needs the extra `arrow`.

Nothing is decompressed: compressed messages are refused, and dictionaries of ignored columns are not read. This module
must not know HTTP or torch; `arrow_columns.py` converts the columns.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from app.errors import InvalidInput, MalformedBody, Problem
from app.inference.codecs import arrow_columns
from app.inference.codecs.arrow_messages import is_compressed
from app.inference.codecs.blocks import BINARY_BLOCK_ROWS, BINARY_PIECE_BYTES, RowBlock
from app.inference.codecs.headers import name_problems, places_of
from app.schema import ModelSchema

CONTENT_TYPE = "application/vnd.apache.arrow.stream"
MAX_MESSAGE_BYTES = 64 << 20

_CONTINUATION = b"\xff\xff\xff\xff"
_DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)
_KEPT_SCHEMA_BYTES = 16 << 10  # larger schemas are not cached, to bound the memory that clients can occupy


class ArrowReader:
    """Read record batches as they arrive, with a column for each feature, in any order."""

    unit = "row"
    piece_bytes = BINARY_PIECE_BYTES
    blank_lines = 0

    def __init__(self, model_schema: ModelSchema, *, ignore_extra: bool) -> None:
        self._model_schema = model_schema
        self._ignore_extra = ignore_extra
        self._parts: list[bytes] = []
        self._size = 0
        self._enough = 0
        self._source: _Source | None = None
        self._dictionaries: list[bytes] = []
        self._ended = False
        self._row = 0

    def feed(self, data: bytes) -> Iterator[RowBlock]:
        """Feed a piece of the body, and yield the rows of the record batches that are complete now."""
        self._parts.append(data)
        self._size += len(data)
        if self._size >= self._enough:
            yield from self._complete()

    def finish(self) -> Iterator[RowBlock]:
        """Yield the remaining rows at the end of the body.

        Raises:
            MalformedBody: if the body ends within the stream.
        """
        yield from self._complete()
        if self._source is None or (self._size and not self._ended):
            raise MalformedBody("the body ends before the Arrow stream does")

    def _complete(self) -> Iterator[RowBlock]:
        """Yield the rows of all complete messages, and keep the remaining bytes.

        An incomplete message is parsed again only after the data has grown by a quarter, so that a large one in many
        small parts is not copied for each part.
        """
        data = b"".join(self._parts)
        source = pa.BufferReader(data)
        kept = 0
        while not self._ended and (message := self._next_message(source)) is not None:
            kept = source.tell()
            yield from self._rows_of(message)
        if self._ended:
            kept = source.tell()
            if kept < len(data):
                raise MalformedBody("the body goes on after the end of the Arrow stream; send one stream")
        rest = data[kept:]
        self._parts, self._size = [rest] if rest else [], len(rest)
        self._enough = self._size + self._size // 4
        if self._size > MAX_MESSAGE_BYTES:
            raise MalformedBody(f"an Arrow message may have {MAX_MESSAGE_BYTES} bytes; send smaller record batches")

    def _rows_of(self, message: pa.ipc.Message) -> Iterator[RowBlock]:
        if message.type == "schema":
            self._source = _source(self._model_schema, message, ignore_extra=self._ignore_extra)
            self._dictionaries = []
        elif message.type == "record batch" and self._source is not None:
            yield from self._blocks(message, self._source)
        elif message.type == "dictionary" and self._source is not None and self._source.has_dictionaries:
            if self._source.reads_dictionaries:
                self._keep_dictionary(message)
        else:
            raise MalformedBody("the Arrow stream holds a message that is neither schema nor record batch")

    def _keep_dictionary(self, message: pa.ipc.Message) -> None:
        """Keep a dictionary for the record batches after it; the stream may send many."""
        if is_compressed(message):
            raise MalformedBody("a dictionary of the Arrow stream is compressed; send it uncompressed")
        self._dictionaries.append(message.serialize().to_pybytes())
        if sum(map(len, self._dictionaries)) > MAX_MESSAGE_BYTES:
            raise MalformedBody(f"the dictionaries of an Arrow stream may have {MAX_MESSAGE_BYTES} bytes")

    def _next_message(self, source: pa.BufferReader) -> pa.ipc.Message | None:
        """Return the next complete message; None if it is incomplete or the stream ends."""
        start = source.tell()
        try:
            return pa.ipc.read_message(source)
        except EOFError:
            self._ended = source.tell() > start  # the end-of-stream marker, not just the end of the data so far
        except _DAMAGE as error:
            source.seek(start)
            if not _CONTINUATION.startswith(source.read(len(_CONTINUATION))):
                raise MalformedBody("the body is not an Arrow IPC stream") from error
        return None

    def _blocks(self, message: pa.ipc.Message, source: _Source) -> Iterator[RowBlock]:
        try:
            if is_compressed(message):
                raise MalformedBody("the record batches of the Arrow stream are compressed; send them uncompressed")
            columns, rows = self._columns(message, source)
        except (*_DAMAGE, struct.error) as error:
            raise MalformedBody("a record batch of the Arrow stream is damaged") from error
        for start in range(0, rows, BINARY_BLOCK_ROWS):
            parts = [column.slice(start, BINARY_BLOCK_ROWS) for column in columns]
            first, self._row = self._row, self._row + len(parts[0])
            x, bad = arrow_columns.rows(parts, self._model_schema, first)
            yield RowBlock(x, first, bad)

    def _columns(self, message: pa.ipc.Message, source: _Source) -> tuple[list[pa.Array], int]:
        """Return the validated columns of the features, and the number of rows.

        pyarrow reads dictionaries only as part of a stream, so one is made of the messages that belong to the batch.
        """
        if not source.reads_dictionaries:
            batch = pa.ipc.read_record_batch(message, source.schema)
            batch.validate()
            columns = [_column(batch, place) for place in source.places]
        else:
            stream = b"".join((source.message, *self._dictionaries, message.serialize().to_pybytes()))
            there = sorted(place for place in source.places if place is not None)
            wanted = pa.ipc.IpcReadOptions(included_fields=there, use_threads=False)
            batch = pa.ipc.open_stream(stream, options=wanted).read_next_batch()
            columns = [_column(batch, None if place is None else there.index(place)) for place in source.places]
        for column in columns:
            if not arrow_columns.is_number(column.type):
                column.validate(full=True)
        return columns, batch.num_rows


@dataclass(frozen=True, slots=True)
class _Source:
    """A validated schema.

    Attributes:
        schema: schema to read record batches with.
        places: column index of each feature, in feature order; None for an optional one that is not there.
        has_dictionaries: whether any column has a dictionary, whose messages come before the record batches.
        reads_dictionaries: whether that of a feature has one.
        message: the schema as a message.
    """

    schema: pa.Schema
    places: list[int | None]
    has_dictionaries: bool
    reads_dictionaries: bool
    message: bytes


def _source(model_schema: ModelSchema, message: pa.ipc.Message, *, ignore_extra: bool) -> _Source:
    """Return the validated schema of a message.

    Raises:
        MalformedBody: if it cannot be read.
        InvalidInput: if its columns do not fit the model.
    """
    text = message.serialize().to_pybytes()
    make = _check_schema if len(text) <= _KEPT_SCHEMA_BYTES else _check_schema.__wrapped__
    return make(model_schema, text, ignore_extra)


@functools.lru_cache(maxsize=64)
def _check_schema(model_schema: ModelSchema, text: bytes, ignore_extra: bool) -> _Source:
    schema = _schema(text)
    names = model_schema.recognised(schema.names)
    if problems := _problems(model_schema, names, schema.types, ignore_extra=ignore_extra):
        where = f"column {problems[0].feature!r} " if problems[0].feature else ""
        raise InvalidInput(f"{where}{problems[0].problem}. {model_schema.expectation}", tuple(problems))
    # a dictionary column is stored in a record batch as its indices; unless it is a feature, it is never read
    places = places_of(names, model_schema)
    kinds = [kind.index_type if pa.types.is_dictionary(kind) else kind for kind in schema.types]
    return _Source(
        pa.schema(list(zip(schema.names, kinds, strict=True))),
        places,
        kinds != schema.types,
        any(place is not None and pa.types.is_dictionary(schema.types[place]) for place in places),
        text,
    )


def _column(batch: pa.RecordBatch, place: int | None) -> pa.Array:
    return pa.nulls(batch.num_rows) if place is None else batch.column(place)


def _schema(text: bytes) -> pa.Schema:
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(text))
        return pa.schema(list(zip(schema.names, schema.types, strict=True)))  # decodes the names, perhaps not UTF-8
    except _DAMAGE as error:
        raise MalformedBody("the schema of the Arrow stream is damaged") from error


def _problems(
    model_schema: ModelSchema, names: list[str], kinds: list[pa.DataType], *, ignore_extra: bool
) -> list[Problem]:
    named = dict(zip(names, kinds, strict=True))
    problems = name_problems(names, model_schema, ignore_extra=ignore_extra)
    for name, feature in zip(model_schema.features, model_schema.types, strict=True):
        expected = arrow_columns.unfit(named[name], feature, model_schema) if name in named else None
        if expected:
            problems.append(Problem(None, name, f"must be {expected}, got {named[name]}"))
    return problems
