"""Read rows from CSV or tab-separated values with a header line, and write answers as CSV.

This module must not know HTTP or torch.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator

import numpy as np

from app.errors import MAX_PROBLEMS, InvalidInput, MalformedBody, Problem, ServingError
from app.inference.codecs import frames
from app.inference.codecs.blocks import TEXT_BLOCK_ROWS, TEXT_PIECE_BYTES, RowBlock
from app.inference.codecs.columns import float_of_text, floats_of_text
from app.inference.codecs.lines import MAX_LINE_BYTES, LineEnds, LineReader
from app.inference.predictions import Predictions, column_names
from app.schema import Float32, ModelSchema
from modelstore.reading import BLANKS, LINE_ENDS_LOST, SAME_NAME, repeated

CONTENT_TYPE = "text/csv"
TAB_SEPARATED = "text/tab-separated-values"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK_LINES = BLANKS.encode() + b"\n"
# A comma in a tab-separated field must not separate fields; it becomes a semicolon, which no number contains.
_AS_CSV = bytes.maketrans(b"\t,", b",;")


class CsvReader:
    """Read lines of numbers below a header line that names the columns, in any order."""

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
            yield from self._lines.feed(data.translate(_AS_CSV) if self._delimiter == "\t" else data)

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
        names = self._schema.recognised(_fields(header.removeprefix(_BYTE_ORDER_MARK), self._delimiter))
        expected, line = self._schema.features, self._line
        missing = [name for name in expected if name not in names]
        problems = [
            Problem(line, name, "is missing in the first line, which must name the columns") for name in missing
        ]
        for first, second in itertools.islice(repeated(names).values(), MAX_PROBLEMS):
            problem = f"the first line names a column twice, in columns {first} and {second}"
            problems.append(Problem(line, None, f"{problem}; {SAME_NAME}"))
        unknown = len(set(names).difference(expected))
        if unknown and not self._ignore_extra:
            problem = f"the first line names {unknown} unknown columns; leave them out or add ?ignore_extra=true"
            problems.append(Problem(line, None, problem))
        if problems:
            where = f", column {problems[0].feature!r}" if problems[0].feature else ""
            lost = f"; {LINE_ENDS_LOST}" if alone and len(names) > 2 * (len(expected) - 1) else ""
            detail = f"line {line}{where}: {problems[0].problem}{lost}. {self._schema.expectation}"
            raise InvalidInput(detail, tuple(problems))
        columns = _LinesBelowHeader(self._schema, names)
        return LineReader(self._schema, columns.fast, columns.precise, first=line + 1)


class _LinesBelowHeader:
    """Read lines of numbers below a known header."""

    def __init__(self, schema: ModelSchema, names: list[str]) -> None:
        self._schema = schema
        self._width = len(names)
        places = {name: place for place, name in enumerate(names)}
        self._order = [places[feature] for feature in schema.features]
        self._in_order = self._order == list(range(len(names)))

    def fast(self, lines: bytes) -> Float32 | None:
        """Read lines of numbers that are also valid JSON numbers; return None if anything is unusual."""
        flat = floats_of_text(lines.replace(b"\n", b",")) if self._even(lines) else None
        if flat is None:
            return None
        x = flat.reshape(-1, self._width)
        return x if self._in_order else np.ascontiguousarray(x[:, self._order])  # (N, F)

    def precise(self, line: bytes) -> Float32:
        """Read one line, shape (1, F).

        Raises:
            InvalidInput: if a field is not a number; names the column.
        """
        fields = _fields(line)
        if len(fields) != self._width:
            raise _wrong(None, f"has {len(fields)} columns, the first line names {self._width}")
        row = [self._number(feature, fields[column]) for feature, column in self._features()]
        return np.array([row], dtype=np.float32)

    def _features(self) -> Iterator[tuple[str, int]]:
        return zip(self._schema.features, self._order, strict=True)

    def _number(self, feature: str, field: str) -> float:
        value = float_of_text(field)
        if isinstance(value, str):
            raise _wrong(feature, value)
        return value

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
    """Write `label`, `probability` and one column `probability_<class>` for each class."""

    content_type = CONTENT_TYPE + "; charset=utf-8"
    block_rows = TEXT_BLOCK_ROWS

    def __init__(self, schema: ModelSchema, *, numbered: bool) -> None:
        self._names = column_names(schema)
        self._numbered = numbered
        labels = [_line([label])[:-1] for label in schema.classes]
        self._frame = frames.Frame([label + b"," for label in labels], [b"", b"", *[b","] * len(labels)], b"\n", b"")

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
