"""Find the messages of an Arrow IPC file or stream, without reading the rows in them.

This module must not know which columns matter.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from app.inference.codecs.arrow_messages import BATCH, DICTIONARY, SCHEMA, read_head
from app.scoring.errors import ScoringError

_MAGIC = b"ARROW1\0\0"  # of a file; what follows is a stream, and then a footer, which ends with the same letters
_CONTINUATION = b"\xff\xff\xff\xff"
_PREFIX_BYTES = 8


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a stream.

    Attributes:
        place: its bytes in the file, from and below.
        is_batch: whether it is a record batch, not the schema or a dictionary.
        rows: number of its rows.
    """

    place: tuple[int, int]
    is_batch: bool
    rows: int

    @property
    def size_bytes(self) -> int:
        """Return its size."""
        return self.place[1] - self.place[0]


def messages(file: IO[bytes]) -> Iterator[Message]:
    """Yield the messages up to the end of the stream.

    Raises:
        ScoringError: if the file is no such stream, or ends within it.
    """
    place = len(_MAGIC) if file.read(len(_MAGIC)) == _MAGIC else 0
    size = file.seek(0, 2)
    if place and not _ends_as_file(file, size):
        raise ScoringError(f"{file.name}: has no footer, so rows may be missing; its writer was not closed")
    while place < size:
        file.seek(place)
        prefix = file.read(_PREFIX_BYTES)
        if not prefix.startswith(_CONTINUATION):
            raise ScoringError(f"{file.name}: is no Arrow IPC file or stream; write it with a current version of Arrow")
        length = int.from_bytes(prefix[4:], "little")
        if length == 0:
            return
        try:
            kind, body_bytes, rows = read_head(file.read(length))
        except (struct.error, IndexError) as error:
            raise ScoringError(f"{file.name}: is damaged at byte {place}, in a message of the Arrow stream") from error
        stop = place + _PREFIX_BYTES + length + body_bytes
        if kind not in (SCHEMA, DICTIONARY, BATCH) or not place < stop <= size:
            raise ScoringError(f"{file.name}: ends within a message of the Arrow stream, or holds more than a table")
        yield Message((place, stop), kind == BATCH, rows)
        place = stop


def _ends_as_file(file: IO[bytes], size: int) -> bool:
    end = _MAGIC.rstrip(b"\0")
    file.seek(max(0, size - len(end)))
    return file.read() == end
