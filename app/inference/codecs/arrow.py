"""Read rows from Arrow IPC streams; needs the extra `arrow`.

Nothing is decompressed: compressed messages are refused, and dictionaries of ignored columns are not read. This module
must not know HTTP or torch; `arrow_columns.py` converts the columns.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from app.errors import MalformedBody
from app.inference.codecs import arrow_columns
from app.inference.codecs.arrow_messages import is_compressed
from app.inference.codecs.arrow_schema import DAMAGE, StreamSchema, read_schema
from app.inference.codecs.blocks import BINARY_PIECE_BYTES, RowBlock
from app.inference.codecs.row_ids import read_cell_id
from app.schema import ModelSchema

CONTENT_TYPE = "application/vnd.apache.arrow.stream"
MAX_MESSAGE_BYTES = 64 << 20

_CONTINUATION = b"\xff\xff\xff\xff"


class ArrowReader:
    """Read record batches as they arrive, with a column for each feature, in any order."""

    unit = "row"
    piece_bytes = BINARY_PIECE_BYTES
    blank_lines = 0

    def __init__(self, model_schema: ModelSchema, *, ignore_extra: bool, id_column: str | None = None) -> None:
        self._id_column = id_column
        self._model_schema = model_schema
        self._ignore_extra = ignore_extra
        self._parts: list[bytes] = []
        self._size = 0
        self._enough = 0
        self._schema: StreamSchema | None = None
        self._dictionaries: list[bytes] = []  # those that no record batch has followed yet
        self._dictionary_bytes = 0
        self._encoded: _EncodedStream | None = None
        self._ended = False
        self._row = 0

    @property
    def held_bytes(self) -> int:
        """Return the size of the last message, which is not complete, and of the dictionaries."""
        return self._size + self._dictionary_bytes

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
        if self._schema is None or (self._size and not self._ended):
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
            self._schema = read_schema(self._model_schema, message, self._id_column, ignore_extra=self._ignore_extra)
            self._dictionaries, self._dictionary_bytes, self._encoded = [], 0, None
        elif message.type == "record batch" and self._schema is not None:
            yield from self._blocks(message, self._schema)
        elif message.type == "dictionary" and self._schema is not None and self._schema.has_dictionaries:
            if self._schema.reads_dictionaries:
                self._keep_dictionary(message)
        else:
            raise MalformedBody("the Arrow stream holds a message that is neither schema nor record batch")

    def _keep_dictionary(self, message: pa.ipc.Message) -> None:
        """Keep a dictionary for the record batches after it; the stream may send many."""
        try:
            compressed = is_compressed(message)
        except struct.error as error:
            raise MalformedBody("a dictionary of the Arrow stream is damaged") from error
        if compressed:
            raise MalformedBody("a dictionary of the Arrow stream is compressed; send it uncompressed")
        self._dictionaries.append(message.serialize().to_pybytes())
        self._dictionary_bytes += len(self._dictionaries[-1])
        if self._dictionary_bytes > MAX_MESSAGE_BYTES:
            raise MalformedBody(f"the dictionaries of an Arrow stream may have {MAX_MESSAGE_BYTES} bytes")

    def _next_message(self, source: pa.BufferReader) -> pa.ipc.Message | None:
        """Return the next complete message; None if it is incomplete or the stream ends."""
        start = source.tell()
        try:
            return pa.ipc.read_message(source)
        except EOFError:
            self._ended = source.tell() > start  # the end-of-stream marker, not just the end of the data so far
        except DAMAGE as error:
            source.seek(start)
            if not _CONTINUATION.startswith(source.read(len(_CONTINUATION))):
                raise MalformedBody("the body is not an Arrow IPC stream") from error
        return None

    def _blocks(self, message: pa.ipc.Message, schema: StreamSchema) -> Iterator[RowBlock]:
        try:
            if is_compressed(message):
                raise MalformedBody("the record batches of the Arrow stream are compressed; send them uncompressed")
            columns, ids = self._columns(message, schema)
        except (*DAMAGE, struct.error) as error:
            raise MalformedBody("a record batch of the Arrow stream is damaged") from error
        rows = len(ids)
        if rows > 8 * (message.metadata.size + message.body.size):  # columns of the type null take no bytes
            raise MalformedBody("a record batch of the Arrow stream has more rows than bits, so no values")
        first, self._row = self._row, self._row + rows
        start, size = 0, arrow_columns.block_size(columns, ids, self._model_schema)
        for block in arrow_columns.blocks_of(columns, self._model_schema, first, size):
            if self._id_column is not None:
                listed = arrow_columns.ids_of(ids.slice(start, len(block.x)))
                block.identify(read_cell_id, listed, self._id_column)
            start += len(block.x)
            yield block

    def _columns(self, message: pa.ipc.Message, schema: StreamSchema) -> tuple[list[pa.Array], pa.Array]:
        """Return the validated columns of the features, and the ids, which are null if there are none."""
        places: Sequence[int | None] = (*schema.places, schema.ids)
        new, self._dictionaries = self._dictionaries, []
        if not schema.reads_dictionaries:
            batch = pa.ipc.read_record_batch(message, schema.stored)
        else:
            self._encoded = self._encoded or _EncodedStream(schema.message, places)
            batch = self._encoded.read([*new, message.serialize().to_pybytes()])
            places = self._encoded.places
        batch.validate()
        columns = [pa.nulls(batch.num_rows) if place is None else batch.column(place) for place in places]
        for column in columns:
            if not arrow_columns.is_number(column.type):
                _validate(column, message.body.size + self._dictionary_bytes, new_dictionary=bool(new))
        ids = columns.pop()
        return columns, ids


class _EncodedStream:
    """Record batches with dictionaries: pyarrow reads these only as part of a stream, and keeps them for all of it.

    Attributes:
        places: column index in each record batch, which has only the wanted columns; None for one that is not there.
    """

    def __init__(self, schema: bytes, places: Sequence[int | None]) -> None:
        """Begin a stream with its schema, as a message, and the column indices of what is wanted."""
        there = sorted({place for place in places if place is not None})
        self.places = [None if place is None else there.index(place) for place in places]
        self._source = io.BytesIO(schema)
        options = pa.ipc.IpcReadOptions(included_fields=there, use_threads=False)
        self._batches = pa.ipc.open_stream(self._source, options=options)
        self._source.truncate(0)

    def read(self, messages: Sequence[bytes]) -> pa.RecordBatch:
        """Return the record batch of the last message; the others are dictionaries that are new since the one before.

        Raises:
            pa.ArrowException, OSError: if one is damaged; nothing can be read any more.
        """
        self._source.seek(0)
        self._source.writelines(messages)
        self._source.seek(0)
        batch = self._batches.read_next_batch()
        self._source.truncate(0)
        return batch


def _require_own_bytes(column: pa.Array, held_bytes: int) -> None:
    """Refuse views that are longer, together, than all that has come: each row may view the same large text.

    Raises:
        MalformedBody.
    """
    texts = column.dictionary if pa.types.is_dictionary(column.type) else column
    if not pa.types.is_string_view(texts.type) or not len(texts):
        return
    views = np.frombuffer(texts.buffers()[1], "<i4", 4 * (texts.offset + len(texts)))
    lengths = views[4 * texts.offset :: 4]
    if lengths[lengths > 0].sum(dtype=np.int64) > held_bytes:
        raise MalformedBody("texts of the Arrow stream are views of the same bytes; send each text of its own")


def _validate(column: pa.Array, held_bytes: int, *, new_dictionary: bool) -> None:
    """Validate a column, but a dictionary only once: it may be as large as all record batches together."""
    if pa.types.is_dictionary(column.type) and not new_dictionary:
        column = pa.DictionaryArray.from_arrays(column.indices, pa.nulls(len(column.dictionary)))
    _require_own_bytes(column, held_bytes)
    column.validate(full=True)
