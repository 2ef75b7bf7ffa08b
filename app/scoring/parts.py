"""Cut files of rows into parts, each of which is scored as a whole.

Where a file is cut depends on its content and on the size of a part alone, so that every run cuts it alike.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from app.inference.codecs import arrow
from app.schema import ModelSchema
from app.scoring import arrow_cuts, text_cuts
from app.scoring.errors import ScoringError
from app.scoring.sources import PARQUET, Source

Range = tuple[int, int]
DAMAGE = (pa.ArrowException, EOFError, OSError, zlib.error)
"""What reading a damaged file raises."""


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive rows of one file.

    Attributes:
        source: the file.
        ranges: the bytes that hold them, from and below; of Parquet, the row groups. None for a whole text.
        first: number of the first row: from 0, or its line, from 1.
        size_bytes: bytes of the file that it stands for, for progress.
        number: number of the part in the run, from 0.
        head: the header of a CSV file that is cut.
        content: the rows themselves, if the file is compressed.
    """

    source: Source
    ranges: tuple[Range, ...]
    first: int
    size_bytes: int
    number: int = 0
    head: bytes = b""
    content: bytes | None = field(default=None, repr=False)


def cut_all(sources: Iterable[Source], schema: ModelSchema, part_bytes: int, *, ignore_extra: bool) -> Iterator[Part]:
    """Yield all parts of files, of about `part_bytes` each, in order; each file has at least one.

    Raises:
        ScoringError: if a file cannot be read, or its columns do not fit the version.
    """
    number = 0
    for source in sources:
        try:
            for part in _cut(source, schema, part_bytes, ignore_extra=ignore_extra):
                yield replace(part, number=number)
                number += 1
        except DAMAGE as error:
            raise ScoringError(f"{source.path}: cannot be read as {source.kind}: {error}") from error


def open_text(source: Source) -> IO[bytes]:
    """Open a file for reading its text."""
    return gzip.open(source.path) if source.is_compressed else source.path.open("rb")  # type: ignore[return-value]


def read_range(file: IO[bytes], begin: int, end: int) -> bytes:
    """Return some bytes of a file."""
    file.seek(begin)
    return file.read(end - begin)


def _cut(source: Source, schema: ModelSchema, part_bytes: int, *, ignore_extra: bool) -> Iterator[Part]:
    if source.kind == PARQUET:
        return _cut_parquet(source, part_bytes)
    if source.kind == arrow.CONTENT_TYPE:
        return _cut_arrow(source, part_bytes)
    return _cut_text(source, schema, part_bytes, ignore_extra=ignore_extra)


def _cut_parquet(source: Source, part_bytes: int) -> Iterator[Part]:
    """Yield row groups together, up to the size of a part; a larger one is a part of its own."""
    metadata = pq.read_metadata(source.path)
    begin = first = rows = size = 0
    for group in range(metadata.num_row_groups):
        found = metadata.row_group(group)
        stored = sum(found.column(column).total_compressed_size for column in range(found.num_columns))
        if group > begin and size + stored > part_bytes:
            yield Part(source, ((begin, group),), first, size)
            begin, first, rows, size = group, first + rows, 0, 0
        rows, size = rows + found.num_rows, size + stored
    yield Part(source, ((begin, metadata.num_row_groups),), first, size)


def _cut_arrow(source: Source, part_bytes: int) -> Iterator[Part]:
    """Yield record batches together, each time with the schema and the dictionaries before them."""
    with source.path.open("rb") as file:
        before: list[Range] = []
        batches: list[Range] = []
        first = rows = size = 0
        for message in arrow_cuts.messages(file):
            if batches and (not message.is_batch or size + message.size_bytes > part_bytes):
                yield Part(source, (*before, *batches), first, size)
                batches, first, rows, size = [], first + rows, 0, 0
            size += message.size_bytes
            if message.is_batch:
                batches.append(message.place)
                rows += message.rows
            else:
                before.append(message.place)
        yield Part(source, (*before, *batches), first, size)


def _cut_text(source: Source, schema: ModelSchema, part_bytes: int, *, ignore_extra: bool) -> Iterator[Part]:
    """Yield whole records together; the parts of a CSV file have its header."""
    if not text_cuts.can_cut(source.kind, schema):
        yield Part(source, (), 1, source.size_bytes)
        return
    with open_text(source) as text:
        done = 0
        cutter = text_cuts.Cutter(text, source.kind, schema, str(source.path), ignore_extra=ignore_extra)
        for cut in cutter.cuts(part_bytes):
            at = _place_in_file(text, source, cut.stop)
            content = cut.content if source.is_compressed else None
            yield Part(source, ((cut.start, cut.stop),), cut.line, at - done, head=cutter.head, content=content)
            done = at


def _place_in_file(text: IO[bytes], source: Source, stop: int) -> int:
    """Return how much of the file has been read; of a compressed one, as far as it was decompressed."""
    return int(text.fileobj.tell()) if source.is_compressed else stop  # type: ignore[attr-defined]
