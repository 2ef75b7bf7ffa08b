"""Read the lines below a CSV header as rows.

A piece without quotes is read line by line, all numbers at once; one with quotes record by record, since a quoted cell
may hold line ends. This module must not know HTTP or torch.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from app.errors import InvalidInput, MalformedBody, Problem
from app.inference.codecs.blocks import RowBlock
from app.inference.codecs.columns import floats_of_text
from app.inference.codecs.csv_records import NO_CSV, describe, is_utf8, join_lines, read_records, split_lines
from app.inference.codecs.headers import id_place, places_of
from app.inference.codecs.lines import MAX_LINE_BYTES, LineReader
from app.inference.codecs.row_ids import RowIds, read_cell_id
from app.inference.codecs.rows import converter_for
from app.schema import Float32, ModelSchema
from modelstore.reading import BLANKS


class CsvRows:
    """Convert the fields below a known header to cells."""

    def __init__(
        self,
        schema: ModelSchema,
        names: Sequence[str],
        delimiter: str,
        quotes: Quotes | None = None,
        id_column: str | None = None,
    ) -> None:
        self.schema = schema
        self.ids = None if id_column is None else RowIds(id_column, partial(self._read_id, id_place(names, id_column)))
        self.delimiter = delimiter
        self.quotes = quotes or Quotes(schema.dialect.quote)
        self._rows = converter_for(schema)
        self._width = len(names)
        self._may_take_blank_lines = delimiter in BLANKS or len(names) == 1  # for rows of missing values
        self._as_commas = bytes.maketrans(b"%b," % delimiter.encode(), b",;") if delimiter != "," else None
        self._order = places_of(names, schema)
        self._there = [place for place in self._order if place is not None]
        self._in_order = self._there == list(range(len(names)))
        self._plain = schema.all_numbers and self._there == self._order

    def convert_lines(self, lines: bytes) -> Float32 | None:
        """Read lines without quotes as cells, shape (N, W); return None if anything is unusual."""
        x = self._read_numbers(lines) if self._plain else None
        if x is not None:
            return x
        try:
            text = lines.decode().split("\n")
            if self._may_take_blank_lines and not all(line.strip(BLANKS) for line in text):
                return None
            rows = csv.reader(
                text, delimiter=self.delimiter, quotechar=self.quotes.mark, skipinitialspace=True, strict=True
            )
            return self.convert_records(list(rows))
        except (UnicodeDecodeError, csv.Error):
            return None

    def convert_records(self, rows: Sequence[list[str]]) -> Float32 | None:
        """Convert the fields of rows, column by column, to cells, shape (N, W); return None if any is invalid.

        Other columns than those of the features may hold anything.
        """
        if set(map(len, rows)) != {self._width}:
            rows = list(map(self._fit_to_header, rows))
            if set(map(len, rows)) != {self._width}:
                return None
        columns = list(zip(*rows, strict=True))
        return self._rows.rows_of_texts([None if at is None else columns[at] for at in self._order], len(rows))

    def convert_line(self, line: bytes) -> Float32:
        """Read one line without quotes, shape (1, W).

        Raises:
            MalformedBody, InvalidInput: if it is invalid; the latter names the column.
        """
        return self.convert_record(fields_of(line, self.delimiter, self.quotes.mark))

    def convert_record(self, fields: list[str] | str) -> Float32:
        """Convert the fields of one row, shape (1, W), or raise what is wrong with it; otherwise as `convert_line`."""
        if isinstance(fields, str):
            raise MalformedBody(fields)
        if not is_utf8(fields):
            raise MalformedBody(NO_CSV)
        if len(fields) != self._width and len(fields := self._fit_to_header(fields)) != self._width:
            raise _wrong(None, f"has {len(fields)} columns, the first line names {self._width}")
        found = self._rows.row_of_texts([None if at is None else fields[at] for at in self._order])
        if isinstance(found, Problem):
            raise _wrong(found.feature, found.problem)
        return found

    def _read_id(self, place: int, row: bytes | list[str] | str) -> str | None:
        """Return the id of a row: of its line, or of its fields."""
        fields = fields_of(row, self.delimiter, self.quotes.mark) if isinstance(row, bytes) else row
        if isinstance(fields, str):
            raise MalformedBody(fields)
        fields = fields if len(fields) == self._width else self._fit_to_header(fields)
        return read_cell_id(fields[place].strip()) if place < len(fields) else None

    def _fit_to_header(self, fields: list[str]) -> list[str]:
        """Return fields without empty ones beyond the header; those of a line that is quoted as a whole, unpacked."""
        if len(fields) == 1 < self._width:
            return unpack(fields, self.delimiter)
        return fields if any(map(str.strip, fields[self._width :])) else fields[: self._width]

    def _read_numbers(self, lines: bytes) -> Float32 | None:
        """Read lines that hold nothing but valid JSON numbers, at once."""
        text = lines.translate(self._as_commas) if self._as_commas else lines
        flat = floats_of_text(text.replace(b"\n", b",")) if self._is_even(text) else None
        if flat is None:
            return None
        x = flat.reshape(-1, self._width)
        return x if self._in_order else np.ascontiguousarray(x[:, self._there])  # (N, F)

    def _is_even(self, lines: bytes) -> bool:
        """Return whether each line has as many commas as the header; compares positions of commas and line feeds."""
        text = np.frombuffer(lines, dtype=np.uint8)
        ends = np.flatnonzero(text == ord("\n"))
        commas = np.flatnonzero(text == ord(","))
        rows = len(ends) + 1
        if len(commas) != rows * (self._width - 1):
            return False
        if self._width == 1:
            return True
        by_line = commas.reshape(rows, self._width - 1)
        return bool((by_line[:-1, -1] < ends).all() and (by_line[1:, 0] > ends).all())


class CsvRowReader(LineReader):
    """Read lines in whole blocks, and records where a quoted cell may hold line ends."""

    def __init__(self, rows: CsvRows, first: int) -> None:
        super().__init__(rows.schema, rows.convert_lines, rows.convert_line, first, rows.ids)
        self._rows = rows
        self._quoted = False  # the rest has quotes, or ends in a CR that may be half a line end
        self._enough = 0

    def feed(self, data: bytes) -> Iterator[RowBlock]:
        """Feed a piece of the body, and yield the rows that are complete now.

        An incomplete record is read again only after the data has grown by a quarter, so that a long one in many
        pieces takes linear time.
        """
        if self._rows.quotes.are_open:
            self._rows.quotes.detect(self._rest[-2:] + data, self._rows.delimiter, begins=len(self._rest) <= 2)
        quote = self._rows.quotes.mark
        if not self._quoted and quote.encode() not in data:
            yield from super().feed(data)
            return
        self._rest += self._ends.drop_split_feed(data)
        self._quoted = True
        if len(self._rest) >= min(self._enough, MAX_LINE_BYTES):
            yield from self._records(ended=False)

    def finish(self) -> Iterator[RowBlock]:
        """Yield the rows that remain at the end of the body."""
        yield from self._records(ended=True) if self._quoted else super().finish()

    def _records(self, *, ended: bool) -> Iterator[RowBlock]:
        """Yield the complete records of the rest, and keep what follows them."""
        text = self._rest
        end = len(text) if ended else max(text.rfind(b"\n"), text.rfind(b"\r", 0, -1)) + 1
        lines, clean = split_lines(text[:end])
        quote = self._rows.quotes.mark
        found = read_records(lines, self._rows.delimiter, quote, ended=ended)
        first, self._line = self._line, self._line + found.lines
        self._rest = rest = join_lines(lines[found.lines :]) + text[end:]
        if len(rest) > MAX_LINE_BYTES:
            problem = f"line {self._line} begins a row of more than {MAX_LINE_BYTES} bytes; is a quote not closed?"
            raise MalformedBody(problem)
        self._quoted = quote.encode() in rest or rest.endswith(b"\r")
        self._enough = len(rest) + len(rest) // 4
        self.blank_lines += found.blank_lines
        if not found.rows:
            return
        numbers = [first + begin for begin in found.begins]
        fields = [row for row in found.rows if not isinstance(row, str)]
        x = self._rows.convert_records(fields) if clean and len(fields) == len(found.rows) else None
        if x is None:
            yield self._read_one_by_one(self._rows.convert_record, found.rows, numbers)
        else:
            yield self._add_ids(RowBlock(x, numbers[0], numbers=numbers), found.rows)


class Quotes:
    """The quotes of a body: `"`, or those of the training file if a cell begins with one before any begins with `"`.

    Attributes:
        mark: the quote.
        are_open: whether the first cell that begins with a quote will decide.
    """

    def __init__(self, trained: str | None) -> None:
        self.mark = '"'
        self.are_open = trained == "'"

    def detect(self, text: bytes, delimiters: str, *, begins: bool) -> None:
        """Look for the first cell that begins with a quote; `begins` means that the text begins with a cell."""
        found = _first_quote_pattern(delimiters).search(b"\n" + text if begins else text)
        if found:
            self.mark, self.are_open = found[1].decode(), False


@functools.lru_cache(maxsize=16)
def _first_quote_pattern(delimiters: str) -> re.Pattern[bytes]:
    return re.compile(rb"""[%b\r\n] *(['"])""" % re.escape(delimiters.encode()))


def unpack(fields: list[str], delimiter: str) -> list[str]:
    """Return the fields of a line that was quoted as a whole; the one field itself if that is not CSV."""
    try:
        return next(csv.reader(fields, delimiter=delimiter, skipinitialspace=True, strict=True), []) or fields
    except csv.Error:
        return fields


def fields_of(line: bytes, delimiter: str, quote: str = '"', *, spaced: bool = True) -> list[str]:
    """Return the fields of one record; `spaced` means that blanks may stand before a field, even before its quote.

    Raises:
        MalformedBody: if it is no CSV.
    """
    try:
        text = [line.decode()]
        return next(csv.reader(text, delimiter=delimiter, quotechar=quote, skipinitialspace=spaced, strict=True), [])
    except UnicodeDecodeError as error:
        raise MalformedBody(NO_CSV) from error
    except csv.Error as error:
        raise MalformedBody(describe(error)) from error


def _wrong(feature: str | None, problem: str) -> InvalidInput:
    return InvalidInput(problem, (Problem(None, feature, problem),))
