"""Read rows from CSV or tab-separated values with a header line.

This module must not know HTTP or torch.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from app.errors import InvalidInput, MalformedBody
from app.inference.codecs.blocks import TEXT_PIECE_BYTES, RowBlock
from app.inference.codecs.csv_rows import CsvRowReader, CsvRows, fields_of
from app.inference.codecs.headers import name_problems
from app.inference.codecs.lines import MAX_LINE_BYTES
from app.schema import ModelSchema
from modelstore.reading import BLANKS, LINE_ENDS_LOST

CONTENT_TYPE = "text/csv"
TAB_SEPARATED = "text/tab-separated-values"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK_LINES = BLANKS.encode() + b"\r\n"
_OTHER_DELIMITERS = (",", ";", "\t", "|")
# A CR at the end of what has arrived may be half a line end.
_LINE = re.compile(rb"[^\r\n]*+(?:\r\n|\n|\r(?!\Z))")
_RECORD = re.compile(rb'(?:[^"\r\n]++|"[^"]*+")*+(?:\r\n|\n|\r(?!\Z))')


class CsvReader:
    """Read lines below a header line that names the columns, in any order."""

    unit = "line"
    piece_bytes = TEXT_PIECE_BYTES

    def __init__(self, schema: ModelSchema, *, ignore_extra: bool, delimiter: str = ",") -> None:
        self._delimiter = delimiter
        self._schema = schema
        self._ignore_extra = ignore_extra
        self._head = b""
        self._line = 1
        self._rows: CsvRowReader | None = None

    @property
    def blank_lines(self) -> int:
        """Return the number of blank lines that were skipped so far."""
        above = self._line - 1
        return above + self._rows.blank_lines if self._rows else above

    def feed(self, data: bytes) -> Iterator[RowBlock]:
        """Feed a piece of the body, and yield the rows that are complete now."""
        if self._rows is None:
            self._head += data
            self._drop_blank_lines()
            header = self._find_header()
            if header is None:
                if len(self._head) > MAX_LINE_BYTES:
                    raise MalformedBody(f"the first line never ends; it must name the columns ({LINE_ENDS_LOST})")
                return
            data, self._head = self._head[len(header) :], b""
            self._rows = self._under(header, alone=False)
        if data:
            yield from self._rows.feed(data)

    def finish(self) -> Iterator[RowBlock]:
        """Yield the last row, if its line lacks the line feed."""
        if self._rows is None:
            if not self._head.strip(_BLANK_LINES):
                self._line = 1  # only blank lines: report line 1, where the header should have been
            line = _LINE.match(self._head)  # more follows if a quote in it is never closed
            self._rows = self._under(line[0] if line else self._head, alone=bool(self._head))
        yield from self._rows.finish()

    def _drop_blank_lines(self) -> None:
        """Drop the blank lines above the header, as far as they are complete."""
        head = self._head
        if self._line == 1 and head.startswith(_BYTE_ORDER_MARK):
            head = head.removeprefix(_BYTE_ORDER_MARK)
        blank = head[: len(head) - len(head.lstrip(_BLANK_LINES))]
        if len(blank) == len(head):
            blank = blank.removesuffix(b"\r")  # perhaps half a line end
        begin = max(blank.rfind(b"\n"), blank.rfind(b"\r")) + 1
        self._line += _line_ends(blank[:begin])
        self._head = head[begin:]

    def _find_header(self) -> bytes | None:
        """Return the header with its line end, if it is complete; names within quotes may hold line ends."""
        line = _LINE.match(self._head)
        if line is None or line[0].count(b'"') % 2 == 0 or self._all_features(line[0]):
            return line[0] if line else None
        record = _RECORD.match(self._head)
        return record[0] if record else None

    def _under(self, header: bytes, *, alone: bool) -> CsvRowReader:
        """Return a reader of the lines below a header; `alone` means that the header is the whole body.

        Raises:
            MalformedBody, InvalidInput: if the header does not name the columns.
        """
        names = header.removesuffix(b"\n").removesuffix(b"\r")
        delimiter, found = self._all_features(names) or self._names(names, self._delimiter)
        expected, line = self._schema.features, self._line
        where = " in the first line, which must name the columns"
        problems = name_problems(found, self._schema, ignore_extra=self._ignore_extra, row=line, where=where)
        if problems:
            place = f", column {problems[0].feature!r}" if problems[0].feature else ""
            lost = f"; {LINE_ENDS_LOST}" if alone and len(found) > 2 * (len(expected) - 1) else ""
            detail = f"line {line}{place}: {problems[0].problem}{lost}. {self._schema.expectation}"
            raise InvalidInput(detail, tuple(problems))
        return CsvRowReader(CsvRows(self._schema, found, delimiter), first=line + max(1, _line_ends(header)))

    def _all_features(self, header: bytes) -> tuple[str, list[str]] | None:
        """Return the first delimiter with which a header names all features, and the names; None if there is none.

        A file for training may have another delimiter than its content type says.
        """
        for delimiter in dict.fromkeys((self._delimiter, *_OTHER_DELIMITERS)):
            with contextlib.suppress(MalformedBody):
                _, names = found = self._names(header, delimiter)
                if self._schema.columns.keys() <= set(names):
                    return found
        return None

    def _names(self, header: bytes, delimiter: str) -> tuple[str, list[str]]:
        """Return the names of the columns; one without a name has the one that training gives it."""
        fields = fields_of(header, delimiter)
        named = [name if name.strip() else f"c{position}" for position, name in enumerate(fields, start=1)]
        return delimiter, self._schema.recognised(named)


def _line_ends(text: bytes) -> int:
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")
