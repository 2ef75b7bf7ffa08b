"""Bodies that are read and answered in blocks, as they arrive; what every such format has in common, and no format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from app.contract import Contract, Float32
from app.errors import InvalidInput, MalformedBody, Problem, ServingError
from app.scores import Answer

MAX_LINE_BYTES = 1 << 20
TEXT_PIECE_BYTES = 16 << 10
BINARY_PIECE_BYTES = 256 << 10
TEXT_BLOCK_ROWS = 512
BINARY_BLOCK_ROWS = 16384


@dataclass(slots=True)
class Block:
    """Rows that arrived together.

    Attributes:
        x: float32, shape (N, F), finite; a bad row is all 0.
        first: number of the first row, counted as the format counts: lines from 1, rows from 0.
        bad: place in the block to what is wrong there.
    """

    x: Float32
    first: int
    bad: dict[int, Problem] = field(default_factory=dict)

    def parts(self, rows: int) -> Iterator[Block]:
        """Yield the block in blocks of at most so many rows."""
        if len(self.x) <= rows:
            yield self
            return
        for start in range(0, len(self.x), rows):
            places = range(start, start + rows) if self.bad else ()
            bad = {place - start: self.bad[place] for place in places if place in self.bad}
            yield Block(self.x[start : start + rows], self.first + start, bad)


class Reader(Protocol):
    """Turns the bytes of a body, fed as they arrive, into blocks."""

    unit: str
    """What `Block.first` counts: `line` or `row`."""

    piece_bytes: int
    """How much to feed at a time: what holds the event loop for a fraction of a millisecond."""

    def feed(self, data: bytes) -> Iterator[Block]:
        """Take more of the body, and yield the rows that are complete now.

        Raises:
            MalformedBody, InvalidInput: what makes all that follows unreadable.
        """
        ...

    def finish(self) -> Iterator[Block]:
        """Yield what is left at the end of the body."""
        ...


class Writer(Protocol):
    """Turns answers into bytes, in the order of the rows."""

    content_type: str

    block_rows: int
    """How many rows to write at a time, at most: likewise."""

    def head(self) -> bytes:
        """Return what comes before all rows."""
        ...

    def rows(self, answer: Answer) -> bytes:
        """Return the rows of an answer."""
        ...

    def numbered(self, number: int, answer: Answer | None, problem: Problem | None) -> bytes:
        """Return one row with its number: its answer, or what is wrong with it."""
        ...

    def failure(self, error: ServingError) -> bytes:
        """Return the last words of an answer that breaks off."""
        ...

    def tail(self) -> bytes:
        """Return what comes after all rows."""
        ...


ReadRow = Callable[[bytes], Float32]


class LineReader:
    """Reads formats with a row a line: whole blocks fast, and line by line what the fast reader does not like."""

    unit = "line"
    piece_bytes = TEXT_PIECE_BYTES

    def __init__(
        self, contract: Contract, fast: Callable[[bytes], Float32 | None], precise: ReadRow, first: int
    ) -> None:
        """Store the parts.

        Args:
            contract: what the model expects.
            fast: reads complete lines, without the last line feed, shape (N, F); None if anything is unusual.
            precise: reads one line, shape (1, F), or raises InvalidInput or MalformedBody.
            first: number of the first line.
        """
        self._features = len(contract.features)
        self._fast = fast
        self._precise = precise
        self._line = first
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Block]:
        """Take more of the body, and yield the lines that are complete now."""
        complete, feed, rest = data.rpartition(b"\n")
        if not feed:
            self._rest += rest
            if len(self._rest) > MAX_LINE_BYTES:
                raise MalformedBody(
                    f"line {self._line} has more than {MAX_LINE_BYTES} bytes; end each row with a line feed"
                )
            return
        lines, self._rest = self._rest + complete, rest
        yield self._block(lines)

    def finish(self) -> Iterator[Block]:
        """Yield the last line, if it lacks its line feed."""
        if self._rest.strip():
            lines, self._rest = self._rest, b""
            yield self._block(lines)

    def _block(self, lines: bytes) -> Block:
        if b"\r" in lines:
            lines = lines.replace(b"\r\n", b"\n").removesuffix(b"\r")
        first = self._line
        self._line += lines.count(b"\n") + 1
        x = self._fast(lines)
        return Block(x, first) if x is not None else self._line_by_line(lines.split(b"\n"), first)

    def _line_by_line(self, lines: list[bytes], first: int) -> Block:
        x = np.zeros((len(lines), self._features), dtype=np.float32)
        bad: dict[int, Problem] = {}
        for place, line in enumerate(lines):
            try:
                x[place] = self._precise(line)[0]
            except InvalidInput as error:
                what = error.problems[0] if error.problems else Problem(None, None, str(error))
                bad[place] = Problem(first + place, what.feature, what.problem)
            except MalformedBody as error:
                bad[place] = Problem(first + place, None, str(error))
        return Block(x, first, bad)
