"""Read rows from CSV or tab-separated values with a header line.

This module must not know HTTP or torch.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

from app.errors import InvalidInput, MalformedBody, Problem
from app.inference.codecs.blocks import TEXT_PIECE_BYTES, RowBlock
from app.inference.codecs.csv_rows import CsvRowReader, CsvRows, Quotes, fields_of, unpack
from app.inference.codecs.csv_text import TrainedText
from app.inference.codecs.headers import name_problems
from app.inference.codecs.lines import MAX_LINE_BYTES
from app.schema import ModelSchema
from modelstore.reading import BLANKS, LINE_ENDS_LOST

CONTENT_TYPE = "text/csv"
TAB_SEPARATED = "text/tab-separated-values"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK_LINES = BLANKS.encode() + b"\r\n"
_DELIMITERS = (",", ";", "\t", "|")
# A CR at the end of what has arrived may be half a line end.
_LINE = re.compile(rb"[^\r\n]*+(?:\r\n|\n|\r(?!\Z))")


class Header(NamedTuple):
    """The line or lines that name the columns, the delimiter that they have, and the number of the line below."""

    text: bytes
    delimiter: str
    next_line: int


class CsvReader:
    """Read lines below a header line that names the columns, in any order.

    Attributes:
        header: the header, once it was read; None also where the first line is a row.
    """

    unit = "line"
    piece_bytes = TEXT_PIECE_BYTES

    def __init__(
        self, schema: ModelSchema, *, ignore_extra: bool, delimiter: str = ",", id_column: str | None = None
    ) -> None:
        self._id_column = id_column
        self._delimiter = delimiter
        self._schema = schema
        self._ignore_extra = ignore_extra
        self._text = TrainedText(schema.dialect) if TrainedText.is_unusual(schema.dialect) else None
        self._quotes = Quotes(schema.dialect.quote)
        self._head = b""
        self._line = 1
        self._rows: CsvRowReader | None = None
        self.header: Header | None = None

    @property
    def blank_lines(self) -> int:
        """Return the number of blank lines that were skipped so far."""
        above = self._line - 1
        return above + self._rows.blank_lines if self._rows else above

    @property
    def held_bytes(self) -> int:
        """Return the size of the header or last record, which is not complete."""
        return self._rows.held_bytes if self._rows else len(self._head)

    def continue_at(self, line: int) -> None:
        """Give the line below the header this number, where the body is a part of a file; the header has been fed."""
        assert self._rows is not None
        self._rows.continue_at(line)

    def feed(self, data: bytes) -> Iterator[RowBlock]:
        """Feed a piece of the body, and yield the rows that are complete now."""
        yield from self._feed(self._text.feed(data) if self._text else data)

    def _feed(self, data: bytes) -> Iterator[RowBlock]:
        if self._rows is None:
            self._head += data
            self._drop_blank_lines()
            header = self._find_header()
            if header is None:
                if len(self._head) > MAX_LINE_BYTES:
                    raise MalformedBody(f"the first line never ends; it must name the columns ({LINE_ENDS_LOST})")
                return
            data, self._head = self._head[len(header) :], b""
            self._rows, row = self._read_header(header, alone=False)
            data = row + data
        if data:
            yield from self._rows.feed(data)

    def finish(self) -> Iterator[RowBlock]:
        """Yield the last row, if its line lacks the line feed."""
        if self._text:
            yield from self._feed(self._text.finish())
        if self._rows is None:
            if not self._head.strip(_BLANK_LINES):
                self._line = 1  # only blank lines: report line 1, where the header should have been
            line = _LINE.match(self._head)  # more follows if a quote in it is never closed
            self._rows, row = self._read_header(line[0] if line else self._head, alone=bool(self._head))
            yield from self._rows.feed(row)
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
        self._line += _count_line_ends(blank[:begin])
        self._head = head[begin:]

    def _find_header(self) -> bytes | None:
        """Return the header with its line end, if it is complete; names within quotes may hold line ends."""
        line = _LINE.match(self._head)
        if self._quotes.are_open and line:
            self._quotes.detect(line[0], "".join(_DELIMITERS), begins=True)
        quote = self._quotes.mark.encode()
        if line is None or line[0].count(quote) % 2 == 0 or self._find_features(line[0]):
            return line[0] if line else None
        record = _record_pattern(quote).match(self._head)
        return record[0] if record else None

    def _read_header(self, header: bytes, *, alone: bool) -> tuple[CsvRowReader, bytes]:
        """Return a reader of the lines below a header, and the row that stands in place of a header, if any.

        Raises:
            MalformedBody, InvalidInput: if the header does not name the columns.
        """
        names = header.removesuffix(b"\n").removesuffix(b"\r")
        expected, line = self._schema.features, self._line
        named = self._find_features(names)
        if named is None and (rows := self._read_without_header(names)):
            return CsvRowReader(rows, first=line), header
        delimiter, found = named or self._read_names(names, self._delimiter)
        problems = self._name_problems(found, line, " in the first line, which must name the columns")
        if problems:
            place = f", column {problems[0].feature!r}" if problems[0].feature else ""
            lost = f"; {LINE_ENDS_LOST}" if alone and len(found) > 2 * (len(expected) - 1) else ""
            detail = f"line {line}{place}: {problems[0].problem}{lost}. {self._schema.expectation}"
            raise InvalidInput(detail, tuple(problems))
        rows = CsvRows(self._schema, found, delimiter, self._quotes, self._id_column)
        self.header = Header(header, delimiter, line + max(1, _count_line_ends(header)))
        return CsvRowReader(rows, first=self.header.next_line), b""

    def _name_problems(self, names: list[str], line: int | None = None, where: str = "") -> list[Problem]:
        """Return what is wrong with the names of the columns."""
        extra = self._ignore_extra
        return name_problems(names, self._schema, ignore_extra=extra, row=line, where=where, id_column=self._id_column)

    def _read_without_header(self, line: bytes) -> CsvRows | None:
        """Return how rows are read if the first line is one, as in a training file without a header; else None."""
        if self._schema.dialect.header is not False:
            return None
        delimiter, known = self._schema.dialect.delimiter or self._delimiter, self._schema.columns.keys()
        with contextlib.suppress(MalformedBody):
            fields = fields_of(line, delimiter, self._quotes.mark)
            names = [f"c{place}" for place in range(1, len(fields) + 1)]
            if not known & set(fields) and not self._name_problems(names):
                return CsvRows(self._schema, names, delimiter, self._quotes, self._id_column)
        return None

    def _find_features(self, header: bytes) -> tuple[str, list[str]] | None:
        """Return the first delimiter with which a header names all features, and the names; None if there is none.

        A file for training may have another delimiter than its content type says.
        """
        for delimiter in dict.fromkeys((self._delimiter, *_DELIMITERS)):
            with contextlib.suppress(MalformedBody):
                _, names = found = self._read_names(header, delimiter)
                if self._schema.columns.keys() <= set(names):
                    return found
        return None

    def _read_names(self, header: bytes, delimiter: str) -> tuple[str, list[str]]:
        """Return the names of the columns; one without a name has the one that training gives it.

        Training leaves out those without a name or a cell at the end.
        """
        quote = self._quotes.mark
        fields = fields_of(header, delimiter, quote, spaced=f"{delimiter} {quote}".encode() in header)
        if len(fields) == 1 and delimiter in fields[0] and fields[0] not in self._schema.columns:
            fields = unpack(fields, delimiter)
        while len(fields) > 1 and not fields[-1].strip() and self._schema.is_unknown(f"c{len(fields)}"):
            fields.pop()
        named = [name if name.strip() else f"c{position}" for position, name in enumerate(fields, start=1)]
        return delimiter, self._schema.spell_as_features(named)


@functools.lru_cache(maxsize=2)
def _record_pattern(quote: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?:[^%b\r\n]++|%b[^%b]*+%b)*+(?:\r\n|\n|\r(?!\Z))" % ((quote,) * 4))


def _count_line_ends(text: bytes) -> int:
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")
