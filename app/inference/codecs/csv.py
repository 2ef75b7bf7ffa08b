"""Read rows from CSV or tab-separated values with a header line, and write answers as CSV.

This module must not know HTTP or torch.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import numpy as np

from app.errors import InvalidInput, MalformedBody, Problem, ServingError
from app.inference.codecs import frames
from app.inference.codecs.blocks import TEXT_BLOCK_ROWS, TEXT_PIECE_BYTES, RowBlock
from app.inference.codecs.columns import floats_of_text
from app.inference.codecs.headers import name_problems, places_of
from app.inference.codecs.lines import MAX_LINE_BYTES, LineEnds, LineReader
from app.inference.codecs.rows import converter_for
from app.inference.predictions import Predictions, column_names
from app.schema import Float32, ModelSchema
from modelstore.reading import BLANKS, LINE_ENDS_LOST

CONTENT_TYPE = "text/csv"
TAB_SEPARATED = "text/tab-separated-values"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK_LINES = BLANKS.encode() + b"\n"
_OTHER_DELIMITERS = (",", ";", "\t", "|")


class CsvReader:
    """Read lines below a header line that names the columns, in any order."""

    unit = "line"
    piece_bytes = TEXT_PIECE_BYTES

    def __init__(self, schema: ModelSchema, *, ignore_extra: bool, delimiter: str = ",") -> None:
        self._delimiter = delimiter
        self._schema = schema
        self._ignore_extra = ignore_extra
        self._ends = LineEnds()
        self._head = b""
        self._line = 1
        self._lines: LineReader | None = None

    @property
    def blank_lines(self) -> int:
        """Return the number of blank lines that were skipped so far."""
        above = self._line - 1
        return above + self._lines.blank_lines if self._lines else above

    def feed(self, data: bytes) -> Iterator[RowBlock]:
        """Feed a piece of the body, and yield the rows that are complete now."""
        data = self._ends.unify(data)
        if self._lines is None:
            self._head += data
            header, feed, data = self._below_blank_lines().partition(b"\n")
            if not feed:
                if len(header) > MAX_LINE_BYTES:
                    raise MalformedBody(f"the first line never ends; it must name the columns ({LINE_ENDS_LOST})")
                return
            self._lines = self._under(header, alone=False)
        if data:
            yield from self._lines.feed(data)

    def finish(self) -> Iterator[RowBlock]:
        """Yield the last row, if its line lacks the line feed."""
        if self._lines is None:
            if not self._head.strip(_BLANK_LINES):
                self._line = 1  # only blank lines: report line 1, where the header should have been
            self._lines = self._under(self._head, alone=bool(self._head))
        yield from self._lines.finish()

    def _below_blank_lines(self) -> bytes:
        """Return the data from the first line that is not blank, and drop the blank lines above it."""
        head = self._head
        if self._line == 1 and b"\n" in head:
            head = head.removeprefix(_BYTE_ORDER_MARK)
        begin = head.rfind(b"\n", 0, len(head) - len(head.lstrip(_BLANK_LINES))) + 1
        if begin:
            self._line += head.count(b"\n", 0, begin)
            self._head = head = head[begin:]
        return head

    def _under(self, header: bytes, *, alone: bool) -> LineReader:
        """Return a reader of the lines below a header; `alone` means that the header is the whole body.

        Raises:
            MalformedBody, InvalidInput: if the header does not name the columns.
        """
        delimiter, names = self._names(header.removeprefix(_BYTE_ORDER_MARK))
        expected, line = self._schema.features, self._line
        where = " in the first line, which must name the columns"
        problems = name_problems(names, self._schema, ignore_extra=self._ignore_extra, row=line, where=where)
        if problems:
            place = f", column {problems[0].feature!r}" if problems[0].feature else ""
            lost = f"; {LINE_ENDS_LOST}" if alone and len(names) > 2 * (len(expected) - 1) else ""
            detail = f"line {line}{place}: {problems[0].problem}{lost}. {self._schema.expectation}"
            raise InvalidInput(detail, tuple(problems))
        columns = _LinesBelowHeader(self._schema, names, delimiter)
        return LineReader(self._schema, columns.fast, columns.precise, first=line + 1)

    def _names(self, header: bytes) -> tuple[str, list[str]]:
        """Return the delimiter and the names of the columns.

        A file for training may have another delimiter than its content type says; a header line that names all features
        with that one decides. A column without a name has the one that training gives it.
        """
        first: tuple[str, list[str]] | None = None
        for delimiter in dict.fromkeys((self._delimiter, *_OTHER_DELIMITERS)):
            fields = _fields(header, delimiter)
            named = [name if name.strip() else f"c{position}" for position, name in enumerate(fields, start=1)]
            found = delimiter, self._schema.recognised(named)
            if self._schema.columns.keys() <= set(found[1]):
                return found
            first = first or found
        assert first is not None
        return first


class _LinesBelowHeader:
    """Read lines below a known header."""

    def __init__(self, schema: ModelSchema, names: list[str], delimiter: str) -> None:
        self._schema = schema
        self._rows = converter_for(schema)
        self._width = len(names)
        self._delimiter = delimiter
        self._as_commas = bytes.maketrans(b"%b," % delimiter.encode(), b",;") if delimiter != "," else None
        self._order = places_of(names, schema)
        self._in_order = self._order == list(range(len(names)))

    def fast(self, lines: bytes) -> Float32 | None:
        """Read lines as cells, shape (N, W); return None if anything is unusual."""
        x = self._numbers(lines) if self._schema.all_numbers else None
        return self._columns(lines) if x is None else x

    def _numbers(self, lines: bytes) -> Float32 | None:
        """Read lines that hold nothing but valid JSON numbers, at once."""
        text = lines.translate(self._as_commas) if self._as_commas else lines
        flat = floats_of_text(text.replace(b"\n", b",")) if self._even(text) else None
        if flat is None:
            return None
        x = flat.reshape(-1, self._width)
        return x if self._in_order else np.ascontiguousarray(x[:, self._order])  # (N, F)

    def _columns(self, lines: bytes) -> Float32 | None:
        """Read lines column by column; other columns than those of the features may hold anything."""
        try:
            text = lines.decode()
            rows = list(csv.reader(text.split("\n"), delimiter=self._delimiter, strict=True))
        except (UnicodeDecodeError, csv.Error):
            return None
        if set(map(len, rows)) != {self._width} or len(rows) != text.count("\n") + 1:
            return None
        columns = list(zip(*rows, strict=True))
        return self._rows.rows_of_texts([columns[place] for place in self._order])

    def precise(self, line: bytes) -> Float32:
        """Read one line, shape (1, W).

        Raises:
            InvalidInput: if a field is invalid; names the column.
        """
        fields = _fields(line, self._delimiter)
        if len(fields) != self._width:
            raise _wrong(None, f"has {len(fields)} columns, the first line names {self._width}")
        found = self._rows.row_of_texts([fields[place] for place in self._order])
        if isinstance(found, Problem):
            raise _wrong(found.feature, found.problem)
        return found

    def _even(self, lines: bytes) -> bool:
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


class CsvWriter:
    """Write `label`, `probability` and one column `probability_<class>` for each class, or `value` for a quantity.

    With a decision, the column `decision` follows: the policy where the label is not the most probable class.
    """

    content_type = CONTENT_TYPE + "; charset=utf-8"
    block_rows = TEXT_BLOCK_ROWS

    def __init__(self, schema: ModelSchema, *, numbered: bool) -> None:
        self._names = column_names(schema) if schema.decision is None else (*column_names(schema), "decision")
        self._numbered = numbered
        self._frame = _frame(schema)

    def head(self) -> bytes:
        """Return the header line; numbered answers have a first column for the line and a last one for the error."""
        return _line(["line", *self._names, "error"] if self._numbered else list(self._names))

    def rows(self, predictions: Predictions) -> bytes:
        """Return the rows of an answer."""
        return frames.write(predictions, self._frame)

    def numbered_row(self, number: int, predictions: Predictions | None, problem: Problem | None) -> bytes:
        """Return one row with its line number in the request: its answer or its problem."""
        if predictions is not None:
            return b"%d,%b,\n" % (number, self.rows(predictions)[:-1])
        place = f"{problem.feature}: " if problem and problem.feature else ""
        text = place + problem.problem if problem else ""
        return _line([str(number), *[""] * len(self._names), text])

    def failure(self, error: ServingError) -> bytes:
        """Return a last line that no CSV reader mistakes for a row."""
        return b"# error: %b\n" % str(error).replace("\n", " ").encode()

    def tail(self) -> bytes:
        """Return nothing: CSV has no end marker."""
        return b""


def _frame(schema: ModelSchema) -> frames.Frame:
    labels = [_line([label])[:-1] for label in schema.classes]
    if schema.task == "regression":
        return frames.Frame([], [b""], b"\n", b"")
    begin, before = [label + b"," for label in labels], [b"", b"", *[b","] * len(labels)]
    if schema.decision is None:
        return frames.Frame(begin, before, b"\n", b"")
    return frames.Frame(begin, [*before, b","], b"\n", b"", _line([schema.decision.policy])[:-1])


def _fields(line: bytes, delimiter: str = ",") -> list[str]:
    try:
        return next(csv.reader([line.decode()], delimiter=delimiter, strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise MalformedBody("is not CSV in UTF-8 with a row a line") from error


def _line(fields: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(fields)  # with CRLF, fields that hold CR or LF are quoted
    return text.getvalue().removesuffix("\r\n").encode() + b"\n"


def _wrong(feature: str | None, problem: str) -> InvalidInput:
    return InvalidInput(problem, (Problem(None, feature, problem),))
