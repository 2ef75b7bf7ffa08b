"""The common parts of formats that are read and answered in blocks as they arrive.

This module must not know any particular format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from app.errors import InvalidInput, MalformedBody, Problem, ServingError
from app.inference.predictions import Predictions
from app.schema import Contract, Float32
from modelstore.reading import BLANKS, LINE_ENDS_LOST

MAX_LINE_BYTES = 1 << 20
TEXT_PIECE_BYTES = 16 << 10
BINARY_PIECE_BYTES = 256 << 10
TEXT_BLOCK_ROWS = 512
BINARY_BLOCK_ROWS = 16384

_BLANKS = BLANKS.encode()


@dataclass(slots=True)
class Block:
    """Rows that arrived together.

    Attributes:
        x: float32, shape (N, F), finite; a bad row is all 0.
        first: number of the first row, as the format counts: lines from 1, rows from 0.
        bad: index in the block to the problem of that row.
        numbers: numbers of the rows, if they are not consecutive because of blank lines.
    """

    x: Float32
    first: int
    bad: dict[int, Problem] = field(default_factory=dict)
    numbers: Sequence[int] | None = None

    def number(self, place: int) -> int:
        """Return the number of a row, as the format counts."""
        return self.first + place if self.numbers is None else self.numbers[place]

    def parts(self, rows: int) -> Iterator[Block]:
        """Split the block into blocks of at most `rows` rows."""
        if len(self.x) <= rows:
            yield self
            return
        for start in range(0, len(self.x), rows):
            places = range(start, start + rows) if self.bad else ()
            bad = {place - start: self.bad[place] for place in places if place in self.bad}
            numbers = None if self.numbers is None else self.numbers[start : start + rows]
            yield Block(self.x[start : start + rows], self.number(start), bad, numbers)


class Reader(Protocol):
    """Turn a body, fed piece by piece as it arrives, into blocks."""

    unit: str
    """The unit of `Block.first`: `line` or `row`."""

    piece_bytes: int
    """Bytes to feed at a time: an amount that blocks the event loop for a fraction of a millisecond."""

    @property
    def blank_lines(self) -> int:
        """Return the number of blank lines that were skipped so far."""
        ...

    def feed(self, data: bytes) -> Iterator[Block]:
        """Feed a piece of the body, and yield the rows that are complete now.

        Raises:
            MalformedBody, InvalidInput: for an error after which the rest of the body cannot be read.
        """
        ...

    def finish(self) -> Iterator[Block]:
        """Yield the remaining rows at the end of the body."""
        ...


class Writer(Protocol):
    """Turn answers into bytes, in the order of the rows."""

    content_type: str

    block_rows: int
    """Largest number of rows to write at a time, for the same reason as `Reader.piece_bytes`."""

    def head(self) -> bytes:
        """Return the bytes before the first row."""
        ...

    def rows(self, predictions: Predictions) -> bytes:
        """Return the rows of an answer."""
        ...

    def numbered(self, number: int, predictions: Predictions | None, problem: Problem | None) -> bytes:
        """Return one row with its number: its answer or its problem."""
        ...

    def failure(self, error: ServingError) -> bytes:
        """Return the last bytes of an answer that breaks off."""
        ...

    def tail(self) -> bytes:
        """Return the bytes after the last row."""
        ...


ReadRow = Callable[[bytes], Float32]


class LineEnds:
    """Convert CRLF and CR line ends to line feeds, even if a piece of the body ends within one."""

    def __init__(self) -> None:
        self._after_return = False

    def unified(self, data: bytes) -> bytes:
        """Return the next piece of the body with line feeds as line ends."""
        if self._after_return and data:  # the CR has already ended its line
            data = data.removeprefix(b"\n")
            self._after_return = False
        if b"\r" in data:
            self._after_return = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data


class LineReader:
    """Read formats with one row per line: in whole blocks, or line by line where the fast reader declines.

    Lines end in LF, CRLF or CR. Blank lines are not rows, but count in line numbers.

    Attributes:
        blank_lines: number of blank lines that were skipped so far.
    """

    unit = "line"
    piece_bytes = TEXT_PIECE_BYTES

    def __init__(
        self, contract: Contract, fast: Callable[[bytes], Float32 | None], precise: ReadRow, first: int
    ) -> None:
        """Create a reader.

        Args:
            contract: schema of the model.
            fast: reads complete lines, without the last line feed, shape (N, F); returns None if anything is unusual,
                such as a blank line.
            precise: reads one line, shape (1, F), or raises InvalidInput or MalformedBody.
            first: number of the first line.
        """
        self.blank_lines = 0
        self._features = len(contract.features)
        self._fast = fast
        self._precise = precise
        self._line = first
        self._ends = LineEnds()
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Block]:
        """Feed a piece of the body, and yield the rows of the lines that are complete now."""
        complete, feed, rest = self._ends.unified(data).rpartition(b"\n")
        if not feed:
            self._rest += rest
            if len(self._rest) > MAX_LINE_BYTES:
                expected = f"end each row with a line feed ({LINE_ENDS_LOST})"
                raise MalformedBody(f"line {self._line} has more than {MAX_LINE_BYTES} bytes; {expected}")
            return
        lines, self._rest = self._rest + complete, rest
        yield from self._blocks(lines)

    def finish(self) -> Iterator[Block]:
        """Yield the row of the last line, if it lacks its line feed."""
        if self._rest:
            lines, self._rest = self._rest, b""
            yield from self._blocks(lines)

    def _blocks(self, text: bytes) -> Iterator[Block]:
        """Yield the rows of complete lines as a block, or nothing if all lines are blank."""
        first = self._line
        self._line += text.count(b"\n") + 1
        x = self._fast(text)
        if x is not None:
            yield Block(x, first)
            return
        lines = text.split(b"\n")
        numbers = [number for number, line in enumerate(lines, first) if line.strip(_BLANKS)]
        if len(numbers) == len(lines):
            yield self._line_by_line(lines, range(first, self._line))
            return
        self.blank_lines += len(lines) - len(numbers)
        if numbers:
            yield self._without_blanks([lines[number - first] for number in numbers], numbers)

    def _without_blanks(self, lines: list[bytes], numbers: Sequence[int]) -> Block:
        x = self._fast(b"\n".join(lines))
        return self._line_by_line(lines, numbers) if x is None else Block(x, numbers[0], numbers=numbers)

    def _line_by_line(self, lines: list[bytes], numbers: Sequence[int]) -> Block:
        x = np.zeros((len(lines), self._features), dtype=np.float32)
        bad: dict[int, Problem] = {}
        for place, line in enumerate(lines):
            try:
                x[place] = self._precise(line)[0]
            except InvalidInput as error:
                what = error.problems[0] if error.problems else Problem(None, None, str(error))
                bad[place] = Problem(numbers[place], what.feature, what.problem)
            except MalformedBody as error:
                bad[place] = Problem(numbers[place], None, str(error))
        return Block(x, numbers[0], bad, numbers)
