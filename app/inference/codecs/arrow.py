"""Read rows from Arrow IPC streams; needs the extra `arrow`.

Nothing is decompressed: compressed record batches are refused, and dictionaries of ignored columns are not read. This
module must not know HTTP or torch.
"""

from __future__ import annotations

import functools
import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from app.errors import MAX_PROBLEMS, InvalidInput, MalformedBody, Problem
from app.inference.codecs.blocks import BINARY_BLOCK_ROWS, BINARY_PIECE_BYTES, RowBlock
from app.inference.codecs.columns import clear_bad_rows, rows_of_arrays
from app.schema import ModelSchema
from modelstore.reading import SAME_NAME, repeated

CONTENT_TYPE = "application/vnd.apache.arrow.stream"
MAX_MESSAGE_BYTES = 64 << 20

_CONTINUATION = b"\xff\xff\xff\xff"
_DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)
_KEPT_SCHEMA_BYTES = 16 << 10  # larger schemas are not cached, to bound the memory that clients can occupy
# Slots in Arrow's Message.fbs: the header of a message, and the compression of a record batch.
_HEADER_SLOT, _COMPRESSION_SLOT = 2, 3
_COMPRESSION_OF_OLD = b"ARROW:experimental_compression"  # metadata key from before Arrow 1.0, which pyarrow still obeys


class ArrowReader:
    """Read record batches as they arrive, with a numeric column for each feature, in any order."""

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
        elif message.type == "record batch" and self._source is not None:
            yield from self._blocks(message, self._source)
        elif message.type != "dictionary" or self._source is None or not self._source.has_dictionaries:
            raise MalformedBody("the Arrow stream holds a message that is neither schema nor record batch")

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
            if _is_compressed(message):
                raise MalformedBody("the record batches of the Arrow stream are compressed; send them uncompressed")
            batch = pa.ipc.read_record_batch(message, source.schema)
            batch.validate()
        except (*_DAMAGE, struct.error) as error:
            raise MalformedBody("a record batch of the Arrow stream is damaged") from error
        columns = [batch.column(place) for place in source.places]
        for start in range(0, batch.num_rows, BINARY_BLOCK_ROWS):
            yield self._block([column.slice(start, BINARY_BLOCK_ROWS) for column in columns])

    def _block(self, columns: list[pa.Array]) -> RowBlock:
        arrays = (column.to_numpy(zero_copy_only=False) for column in columns)  # null becomes NaN
        x = rows_of_arrays(arrays, (len(columns[0]), len(columns)))
        first, self._row = self._row, self._row + len(x)
        return RowBlock(
            x, first, clear_bad_rows(x, first, self._model_schema.features, "must be a finite number, not null")
        )


@dataclass(frozen=True, slots=True)
class _Source:
    """A validated schema.

    Attributes:
        schema: schema to read record batches with.
        places: column index of each feature, in feature order.
        has_dictionaries: whether ignored columns have dictionaries, whose messages come before the record batches.
    """

    schema: pa.Schema
    places: list[int]
    has_dictionaries: bool


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
    # a dictionary column is stored in a record batch as its indices; it is not a feature, so it is never read
    places = {name: place for place, name in enumerate(names)}
    kinds = [kind.index_type if pa.types.is_dictionary(kind) else kind for kind in schema.types]
    return _Source(
        pa.schema(list(zip(schema.names, kinds, strict=True))),
        [places[feature] for feature in model_schema.features],
        kinds != schema.types,
    )


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
    problems = [Problem(None, name, "is missing") for name in model_schema.features if name not in named]
    for first, second in itertools.islice(repeated(names).values(), MAX_PROBLEMS):
        problem = f"the schema names a column twice, in columns {first} and {second}; {SAME_NAME}"
        problems.append(Problem(None, None, problem))
    problems += [
        Problem(None, name, f"must be a column of numbers, got {named[name]}")
        for name in model_schema.features
        if name in named and not _is_number(named[name])
    ]
    unknown = len(named.keys() - model_schema.columns.keys())
    if unknown and not ignore_extra:
        problems.append(Problem(None, None, f"the schema has {unknown} unknown columns; add ?ignore_extra=true"))
    return problems


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _is_compressed(message: pa.ipc.Message) -> bool:
    """Return whether a record batch is compressed: a few bytes could become gigabytes, and pyarrow does not say so."""
    data = message.metadata.to_pybytes()
    header = _field(data, int.from_bytes(data[:4], "little"), _HEADER_SLOT)
    batch = header + int.from_bytes(data[header : header + 4], "little")
    return bool(_field(data, batch, _COMPRESSION_SLOT)) or _COMPRESSION_OF_OLD in data


def _field(data: bytes, table: int, slot: int) -> int:
    """Return the position of a field in a flatbuffer table; 0 if it is absent.

    Source: https://flatbuffers.dev/internals/, Tables.
    """
    vtable = table - int.from_bytes(data[table : table + 4], "little", signed=True)
    (size,) = struct.unpack_from("<H", data, vtable)
    place = 4 + 2 * slot
    (offset,) = struct.unpack_from("<H", data, vtable + place) if place < size else (0,)
    return table + offset if offset else 0
