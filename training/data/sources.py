"""Read a data file's bytes as text: hashed, unpacked, recoded, in bounded memory.

It must not know lines, cells or columns.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol

PEEKED = 512
CHUNK_BYTES = 1 << 18
MAX_UNPACKED_BYTES = 16 << 30
MAX_RATIO = 250  # text that repeats itself a lot packs to a hundredth
FREE_BYTES = 64 << 20  # unpacked bytes from which the ratio counts

GZIP = b"\x1f\x8b"
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
FORMATS = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"BZh", "packed with bzip2; unpack it, or pack it with gzip"),
    (b"\xfd7zXZ", "packed with xz; unpack it, or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd; unpack it, or pack it with gzip"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (b"Rar!", "a RAR archive; unpack it"),
    (b"SQLite format 3", "an SQLite database; export the table as CSV"),
    (b"\x89HDF", "an HDF5 file; write the table as CSV or Parquet"),
    (b"FEA1", "a Feather file of version 1; write it as Parquet, or as Feather of version 2"),
)
HTML = re.compile(r"\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body|table)\b", re.IGNORECASE | re.DOTALL)
XML = re.compile(r"\s*<\?xml\b")
JSON = re.compile(r'\s*(\{\s*("|\}\s*$)|\[\s*(\{\s*"|\[\s*[\["\d-]))')


class Source(Protocol):
    """Bytes to read; a read returns fewer than requested only at the end.

    `problem` says why the bytes ended too early, if they did.
    """

    problem: str

    def read(self, size: int) -> bytes:
        """Return the next bytes."""


class HashedFile:
    """An open file whose bytes are hashed as they are read."""

    problem = ""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self._begun = b""

    def peek(self) -> bytes:
        """Return the first bytes, which the next `read` will return again."""
        self._begun = self._begun or self._stream.read(PEEKED)
        return self._begun

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        begun, self._begun = self._begun, b""
        data = begun + self._stream.read(size) if begun else self._stream.read(size)
        self._hash.update(data)
        return data

    def whole(self) -> BinaryIO:
        """Hash the whole file, and return it for reading in any order."""
        self._stream.seek(0)
        self._begun = b""
        while data := self._stream.read(CHUNK_BYTES):
            self._hash.update(data)
        self._stream.seek(0)
        return self._stream

    def sha256(self) -> str:
        """Return the hash of all bytes read so far."""
        return self._hash.hexdigest()


class Unpacked:
    """The content of a gzip file, which may have several members."""

    def __init__(self, source: Source) -> None:
        self.problem = ""
        self._source = source
        self._packed = b""
        self._inflate = zlib.decompressobj(wbits=31)
        self._within = False  # a member has begun and not ended
        self._bytes_in = self._bytes_out = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        out = bytearray()
        while len(out) < size and not self.problem:
            if not self._packed:
                self._packed = self._source.read(CHUNK_BYTES)
                self._bytes_in += len(self._packed)
            ended = not self._packed
            if ended and not self._within:
                break
            piece = self._inflate_some(size - len(out))
            out += piece
            if ended and self._within and not piece:
                self.problem = self.problem or "the gzip data ends too early; was the file cut off?"
        self._count(len(out))
        return bytes(out)

    def _inflate_some(self, size: int) -> bytes:
        try:
            out = self._inflate.decompress(self._packed, size)
        except zlib.error:
            self.problem = "the gzip data is damaged from here on; pack the file again"
            return b""
        self._packed, self._within = self._inflate.unconsumed_tail, not self._inflate.eof
        if self._inflate.eof:
            self._packed = self._inflate.unused_data.lstrip(b"\0")  # tape blocks are filled up with zeros
            self._inflate = zlib.decompressobj(wbits=31)
        return out

    def _count(self, unpacked: int) -> None:
        self._bytes_out += unpacked
        if self._bytes_out > MAX_UNPACKED_BYTES:
            self.problem = f"the file unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB"
        elif self._bytes_out > FREE_BYTES and self._bytes_out > MAX_RATIO * self._bytes_in:
            self.problem = f"the file unpacks to more than {MAX_RATIO} times its size; is it a table? send it unpacked"


class Recoded:
    """Text in UTF-16 as UTF-8."""

    def __init__(self, source: Source) -> None:
        self.problem = ""
        self._source = source
        self._decoder: codecs.IncrementalDecoder | None = None
        self._ready = b""

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        while len(self._ready) < size and not self.problem:
            data = self._source.read(size)
            if self._decoder is None:
                name = "utf-16" if data.startswith(UTF_16) else "utf-16-le"
                self._decoder = codecs.getincrementaldecoder(name)()
            try:
                self._ready += self._decoder.decode(data, final=not data).encode()
            except UnicodeError:
                self.problem = "from here on the text is not UTF-16; was the file cut off? save it as CSV in UTF-8"
            if not data:
                self.problem = self.problem or self._source.problem
                break
        out, self._ready = self._ready[:size], self._ready[size:]
        return out


def name_format(head: bytes) -> str:
    """Return what a file is that cannot be a table, by its first bytes; the empty string if it may be one."""
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it"
    return next((name for magic, name in FORMATS if head.startswith(magic)), "")


def name_markup(text: str) -> str:
    """Return what a text is that is no CSV, by its beginning; the empty string if it may be CSV."""
    if HTML.match(text):
        return "a page in HTML, not a table; is it the page that links to the file, or that refuses it?"
    if XML.match(text):
        return "XML, not a table; export it as CSV"
    return (
        "JSON, not a table; write it as CSV, with a line of names and one line for each row" if JSON.match(text) else ""
    )


class PieceReader:
    """Reads the pieces of an iterator as one stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._ready = b""

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        while len(self._ready) < size and (piece := next(self._pieces, b"")):
            self._ready += piece
        out, self._ready = self._ready[:size], self._ready[size:]
        return out
