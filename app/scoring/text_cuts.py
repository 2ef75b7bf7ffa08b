"""Cut CSV and lines of JSON where a record ends; a quoted cell may hold line ends.

This module must not know what the records say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, NamedTuple

from app.errors import ServingError
from app.inference.codecs import csv, ndjson
from app.inference.codecs.csv_records import join_lines, read_records, split_lines
from app.inference.codecs.csv_text import TrainedText
from app.inference.codecs.lines import MAX_LINE_BYTES
from app.schema import ModelSchema
from app.scoring.errors import ScoringError

_HEADER_PIECE_BYTES = 1 << 16


class Cut(NamedTuple):
    """Whole records: their place in the text, the line of the first one, and their text."""

    start: int
    stop: int
    line: int
    content: bytes


def can_cut(kind: str, schema: ModelSchema) -> bool:
    """Return whether a file may be cut; not if the version was trained on a CSV file that is written unusually.

    Such a file may lack a header, have other quotes, or be in another encoding, which shows only from its beginning on.
    """
    dialect = schema.dialect
    unusual = TrainedText.is_unusual(dialect) or dialect.quote == "'" or dialect.header is False
    return kind == ndjson.CONTENT_TYPE or not unusual


class Cutter:
    """Read a file once, from its beginning to its end.

    Attributes:
        head: the header that each of its parts needs; empty for lines of JSON.
    """

    def __init__(self, text: IO[bytes], kind: str, schema: ModelSchema, name: str, *, ignore_extra: bool) -> None:
        """Read the header.

        Raises:
            ScoringError: if it does not name the columns of the version.
        """
        self._text = text
        self.head = self._rest = b""
        self._start, self._line, self._delimiter = 0, 1, ""
        if kind == ndjson.CONTENT_TYPE:
            return
        tab = {"delimiter": "\t"} if kind == csv.TAB_SEPARATED else {}
        reader = csv.CsvReader(schema, ignore_extra=ignore_extra, **tab)
        try:
            while reader.header is None and (piece := text.read(_HEADER_PIECE_BYTES)):
                self._rest += piece
                next(reader.feed(piece), None)
            if reader.header is None:
                next(reader.finish(), None)
        except ServingError as error:
            raise ScoringError(f"{name}: {error}") from error
        assert reader.header is not None
        head, self._delimiter, self._line = reader.header
        self._start = self._rest.find(head) + len(head)
        self._rest = self._rest[self._start :]
        self.head = head.removesuffix(b"\n").removesuffix(b"\r") + b"\n"  # a CR alone may be half a line end

    def cuts(self, part_bytes: int) -> Iterator[Cut]:
        """Yield the records in parts of about that many bytes; at least one, which may have none."""
        text, most, is_first = self._rest, part_bytes, True
        while True:
            if len(text) < most:
                piece = self._text.read(most - len(text))
                if not piece:
                    break
                text += piece
                continue
            stop, lines = self._last_end(text[:most])
            if stop == 0 and most < part_bytes + 2 * MAX_LINE_BYTES:
                most += part_bytes
                continue
            if stop == 0:
                stop, lines = most, 1  # too long a record, which its reader refuses
            yield self._cut(text[:stop], lines)
            text, most, is_first = text[stop:], part_bytes, False
        if text or is_first:
            yield self._cut(text, 0)

    def _cut(self, content: bytes, lines: int) -> Cut:
        cut = Cut(self._start, self._start + len(content), self._line, content)
        self._start, self._line = cut.stop, self._line + lines
        return cut

    def _last_end(self, text: bytes) -> tuple[int, int]:
        """Return where the last complete record ends, and how many lines there are up to it."""
        stop = max(text.rfind(b"\n"), text.rfind(b"\r", 0, -1)) + 1
        if self._delimiter and b'"' in text:
            lines, _ = split_lines(text[:stop])
            complete = read_records(lines, self._delimiter, ended=False).lines
            return len(join_lines(lines[:complete])), complete
        return stop, text.count(b"\n", 0, stop) + text.count(b"\r", 0, stop) - text.count(b"\r\n", 0, stop)
