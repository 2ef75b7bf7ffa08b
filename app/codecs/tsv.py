"""Tab-separated lines under a header line to rows, read as the CSV that they could have been; no HTTP, no torch."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from app.codecs.blocks import MAX_LINE_BYTES, TEXT_PIECE_BYTES, Block
from app.codecs.csv import CsvReader
from app.contract import Contract
from app.errors import MalformedBody

CONTENT_TYPE = "text/tab-separated-values"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_AS_CSV = bytes.maketrans(b"\t,", b",;")  # a comma that was there must not part fields: no number has a semicolon


class TsvReader:
    """Reads lines of numbers with tabs between them, as `CsvReader` does those with commas."""

    unit = "line"
    piece_bytes = TEXT_PIECE_BYTES

    def __init__(self, contract: Contract, *, ignore_extra: bool) -> None:
        self._lines = CsvReader(contract, ignore_extra=ignore_extra)
        self._head: bytes | None = b""

    def feed(self, data: bytes) -> Iterator[Block]:
        """Take more of the body, and yield the rows that are complete now."""
        if self._head is not None:
            self._head += data
            header, feed, data = self._head.partition(b"\n")
            if not feed and len(header) <= MAX_LINE_BYTES:
                return
            yield from self._lines.feed(_header(header) + feed)
            self._head = None
        yield from self._lines.feed(data.translate(_AS_CSV))

    def finish(self) -> Iterator[Block]:
        """Yield the last row, if it lacks its line feed."""
        if self._head is not None:
            yield from self._lines.feed(_header(self._head))
        yield from self._lines.finish()


def _header(line: bytes) -> bytes:
    """Return a header line with commas, in which a name may hold one."""
    try:
        text = line.removeprefix(_BYTE_ORDER_MARK).rstrip(b"\r").decode()
        names = next(csv.reader([text], delimiter="\t", strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise MalformedBody("is not tab-separated text in UTF-8 with a row a line") from error
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(names)
    return written.getvalue().encode()
