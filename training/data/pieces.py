"""Read a data file as UTF-8 text in pieces of whole lines, in any encoding or packing.

It must not know cells or columns.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from modelstore import Dialect
from modelstore.dialect import Encoding
from modelstore.reading import CP1252, LINE_ENDS_LOST
from training.data import arrow, excel
from training.data.arrow import ArrowTable
from training.data.excel import Sheet
from training.data.faults import Faults
from training.data.sources import GZIP, UTF_16, HashedFile, Recoded, Source, Unpacked, name_format

FIRST_BYTES = 1 << 20
BLOCK_BYTES = 1 << 22
MAX_LINE_BYTES = 1 << 24
TAIL_BYTES = 1 << 16  # a shorter last piece is joined to the one before, so that the end is seen as a whole

BOM = b"\xef\xbb\xbf"
WORD = re.compile(r"\w*[^\x00-\x7f]\w*")


class Pieces:
    """One pass over an open file.

    Attributes:
        encoding: that of the text, or None as long as all of it is ASCII and none was given.
        line: line at which the next piece begins; the reader of the pieces keeps it.
        ended: whether the last piece was given.
        is_table: whether the file has a format of tables, so that there is no dialect to detect.
        notes: what was decided about the encoding.
    """

    def __init__(self, stream: BinaryIO, faults: Faults, encoding: Encoding | None = None) -> None:
        self.encoding = encoding
        self.line = 1
        self.ended = False
        self.is_table = False
        self.notes: list[str] = []
        self._faults = faults
        self._file = HashedFile(stream)
        self._pieces = self._read()
        self._was_ascii = True
        self._sheet: Sheet | None = None

    def next(self) -> bytes:
        """Return the next piece, decoded and checked; nothing at the end and after a fault."""
        piece = next(self._pieces, b"")
        return self._check(piece) if piece else piece

    def sha256(self) -> str:
        """Return the hash of all bytes read so far."""
        return self._file.sha256()

    def _open(self) -> Source | None:
        """Return the text's source, or None after a fault."""
        head = self._file.peek()
        if head.startswith((arrow.PARQUET, arrow.ARROW)):
            self.is_table = True
            return ArrowTable(self._file.whole(), parquet=head.startswith(arrow.PARQUET))
        if head.startswith((excel.ZIP, excel.OLE)):
            self._sheet = Sheet(self._file.whole())
            return self._sheet
        source: Source = Unpacked(self._file) if head.startswith(GZIP) else self._file
        if problem := name_format(head):
            self._faults.add(
                f"the file is {problem}" if not problem.startswith("packed") else f"the file was {problem}"
            )
            return None
        return source

    def _read(self) -> Iterator[bytes]:
        """Yield the file in pieces that end at the end of a line."""
        source = self._open()
        if source is None:
            return
        chunk = source.read(FIRST_BYTES)
        if chunk.startswith(UTF_16) or self.encoding == "utf-16":
            self.encoding = "utf-16"
            source = Recoded(_Again(chunk, source))
            chunk = source.read(FIRST_BYTES)
        chunk = chunk.removeprefix(BOM)
        rest = b""
        while chunk:
            following = source.read(BLOCK_BYTES)
            if following and len(following) < min(TAIL_BYTES, BLOCK_BYTES):
                chunk, following = chunk + following, source.read(BLOCK_BYTES)
            rest += chunk
            chunk = following
            if not chunk:
                break
            end = rest.rfind(b"\n") + 1 or rest.rfind(b"\r", 0, -1) + 1  # a CR at the end may be half a CRLF
            if end:
                yield rest[:end]
                rest = rest[end:]
            elif len(rest) > MAX_LINE_BYTES:
                hint = f"is this a CSV file? {LINE_ENDS_LOST}"
                self._faults.add(f"a line of more than {MAX_LINE_BYTES >> 20} MiB; {hint}", line=self.line)
                return
        if source.problem:
            at = self.line + line_count(rest) - 1 if rest else self.line
            self._faults.add(source.problem, line=at if not self.is_table else None)
            return
        if self._sheet and self._sheet.note:
            self.notes.append(self._sheet.note)
        self.ended = True
        if rest:
            yield rest

    def _check(self, piece: bytes) -> bytes:
        if not piece.isascii() and self.encoding != "utf-16":
            piece = self._decode(piece)
        if b"\0" in piece:
            place = self.line + line_count(piece[: piece.index(b"\0")] + b"x") - 1
            self._faults.add(
                "a NUL byte; is this a CSV file? for UTF-16 without a mark, say encoding=utf-16", line=place
            )
            return b""
        return piece

    def _decode(self, piece: bytes) -> bytes:
        if self.encoding == "cp1252":
            return from_cp1252(piece)
        try:
            piece.decode()
        except UnicodeDecodeError as error:
            place = self.line + line_count(piece[: error.start] + b"x") - 1
            if self.encoding is None and self._was_ascii:
                text = from_cp1252(piece)
                self.encoding = "cp1252"
                words = WORD.search(text.decode())
                self.notes.append(
                    f"the file is not UTF-8 and is read as cp1252, so that line {place} has "
                    f"{words[0][:30] if words else ''!r}; if that is wrong, save the file in UTF-8"
                )
                return text
            problem = f"byte 0x{piece[error.start]:02x} is not UTF-8; save the file as CSV in UTF-8"
            self._faults.add(problem + ", or say encoding=cp1252", line=place)
            return b""
        self._was_ascii = False
        return piece


class _Again:
    """A source of which the first bytes were read already."""

    def __init__(self, begun: bytes, source: Source) -> None:
        self.problem = ""
        self._begun = begun
        self._source = source

    def read(self, size: int) -> bytes:
        """Return the first bytes, then up to `size` bytes of the source."""
        begun, self._begun = self._begun, b""
        data = begun or self._source.read(size)
        self.problem = self._source.problem
        return data


def count_rows(path: Path, most: float, dialect: Dialect | None = None) -> int:
    """Estimate the rows of a file by its lines, without reading far beyond `most` of them, or beyond a fault.

    Raises:
        MissingExtra: if a library is missing that reads such files.
        OSError: if the file cannot be read.
    """
    told = dialect or Dialect()
    no_rows = sum((told.header is not False, told.skip_rows or 0, told.skip_below or 0, told.skip_footer or 0))
    lines = 0
    with path.open("rb") as stream:
        pieces = Pieces(stream, Faults(), told.encoding)
        while lines - no_rows <= most and (piece := pieces.next()):
            lines += line_count(piece)
    return max(lines - no_rows, 0)


def from_cp1252(text: bytes) -> bytes:
    """Return cp1252 as UTF-8; the five bytes without a character become control characters, as in browsers."""
    return codecs.charmap_decode(text, "strict", CP1252)[0].encode()


def split_lines(text: bytes) -> list[str]:
    """Return the lines of a text with their ends: LF, CRLF or CR."""
    return list(io.StringIO(text.decode(), newline=""))


def line_count(raw: bytes) -> int:
    """Count lines that end in LF, CRLF or CR; the last may have no line end."""
    ends = count(raw, b"\n") + (count(raw, b"\r") - raw.count(b"\r\n") if b"\r" in raw else 0)
    return ends + (not raw.endswith((b"\n", b"\r")))


def count(raw: bytes, byte: bytes) -> int:
    """Count a byte; for a frequent one, NumPy takes a tenth of the time of `bytes.count`."""
    return int(np.count_nonzero(np.frombuffer(raw, dtype=np.uint8) == ord(byte)))
