"""Tell whether an Arrow message is compressed, from its metadata; needs the extra `arrow`.

This module must not know columns.
"""

from __future__ import annotations

import struct

import pyarrow as pa

# Slots in Arrow's Message.fbs: the header of a message, the batch of a dictionary, and the compression of a batch.
_HEADER_SLOT, _DICTIONARY_DATA_SLOT, _COMPRESSION_SLOT = 2, 1, 3
_LENGTH_SLOT, _KIND_SLOT, _BODY_SLOT = 0, 1, 3
SCHEMA, DICTIONARY, BATCH = 1, 2, 3  # kinds of messages
_COMPRESSION_OF_OLD = b"ARROW:experimental_compression"  # metadata key from before Arrow 1.0, which pyarrow still obeys


def is_compressed(message: pa.ipc.Message) -> bool:
    """Return whether a record batch or dictionary is compressed: a few bytes could become gigabytes.

    pyarrow does not say so.
    """
    data = message.metadata.to_pybytes()
    table = _table(data, _field(data, int.from_bytes(data[:4], "little"), _HEADER_SLOT))
    if message.type == "dictionary":
        table = _table(data, _field(data, table, _DICTIONARY_DATA_SLOT))
    return bool(_field(data, table, _COMPRESSION_SLOT)) or _COMPRESSION_OF_OLD in data


def read_head(data: bytes) -> tuple[int, int, int]:
    """Return the kind of a message, the size of its body in bytes and, of a record batch, the number of rows.

    `data` is the metadata without the prefix that states its length.
    """
    root = int.from_bytes(data[:4], "little")
    kind = data[place] if (place := _field(data, root, _KIND_SLOT)) else 0
    body_bytes = _int64(data, _field(data, root, _BODY_SLOT))
    if kind != BATCH:
        return kind, body_bytes, 0
    batch = _table(data, _field(data, root, _HEADER_SLOT))
    return kind, body_bytes, _int64(data, _field(data, batch, _LENGTH_SLOT))


def _int64(data: bytes, place: int) -> int:
    """Return a number; 0, the default of the format, if its field is absent."""
    return int.from_bytes(data[place : place + 8], "little", signed=True) if place else 0


def _table(data: bytes, reference: int) -> int:
    """Return the position of a flatbuffer table that a field refers to."""
    return reference + int.from_bytes(data[reference : reference + 4], "little")


def _field(data: bytes, table: int, slot: int) -> int:
    """Return the position of a field in a flatbuffer table; 0 if it is absent.

    Source: https://flatbuffers.dev/internals/, Tables.
    """
    vtable = table - int.from_bytes(data[table : table + 4], "little", signed=True)
    (size,) = struct.unpack_from("<H", data, vtable)
    place = 4 + 2 * slot
    (offset,) = struct.unpack_from("<H", data, vtable + place) if place < size else (0,)
    return table + offset if offset else 0
