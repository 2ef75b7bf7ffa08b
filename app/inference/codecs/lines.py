"""Read formats with one row per line, in blocks as they arrive.

This module must not know any particular format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from app.errors import InvalidInput, MalformedBody, Problem
from app.inference.codecs.blocks import TEXT_PIECE_BYTES, RowBlock
from app.inference.codecs.row_ids import RowIds
from app.schema import Float32, ModelSchema
from modelstore.reading import BLANKS, LINE_ENDS_LOST

MAX_LINE_BYTES = 1 << 20

_BLANKS = BLANKS.encode()

ReadRow = Callable[[bytes], Float32]
T = TypeVar("T")


class LineEnds:
    """Convert CRLF and CR line ends to line feeds, even if a piece of the body ends within one."""

    def __init__(self) -> None:
        self._after_return = False

    def drop_split_feed(self, data: bytes) -> bytes:
        """Return the next piece of the body without a line feed that belongs to the CR at the end of the last one."""
        if self._after_return and data:  # the CR has already ended its line
            data = data.removeprefix(b"\n")
            self._after_return = False
        return data

    def unify(self, data: bytes) -> bytes:
        """Return the next piece of the body with line feeds as line ends."""
        data = self.drop_split_feed(data)
        if b"\r" in data:
            self._after_return = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data


class LineReader:
    """Read rows: in whole blocks, or line by line where the fast reader declines.

    Lines end in LF, CRLF or CR. Blank lines are not rows, but count in line numbers.

    Attributes:
        blank_lines: number of blank lines that were skipped so far.
    """

    unit = "line"
    piece_bytes = TEXT_PIECE_BYTES

    def __init__(
        self,
        schema: ModelSchema,
        fast: Callable[[bytes], Float32 | None],
        precise: ReadRow,
        first: int,
        ids: RowIds | None = None,
    ) -> None:
        """Create a reader.

        Args:
            schema: schema of the model.
            fast: reads complete lines, without the last line feed, shape (N, W); returns None if anything is unusual,
                such as a blank line.
            precise: reads one line, shape (1, W), or raises InvalidInput or MalformedBody.
            first: number of the first line.
            ids: reads the id of each row, if the request has ids.
        """
        self.blank_lines = 0
        self._ids = ids
        self._width = schema.width
        self._fast = fast
        self._precise = precise
        self._line = first
        self._ends = LineEnds()
        self._rest = b""

    @property
    def held_bytes(self) -> int:
        """Return the size of the last line, which is not complete."""
        return len(self._rest)

    def continue_at(self, line: int) -> None:
        """Give the next line this number, where the body is a part of a file."""
        self._line = line

    def feed(self, data: bytes) -> Iterator[RowBlock]:
        """Feed a piece of the body, and yield the rows of the lines that are complete now."""
        complete, feed, rest = self._ends.unify(data).rpartition(b"\n")
        if not feed:
            self._rest += rest
            if len(self._rest) > MAX_LINE_BYTES:
                expected = f"end each row with a line feed ({LINE_ENDS_LOST})"
                raise MalformedBody(f"line {self._line} has more than {MAX_LINE_BYTES} bytes; {expected}")
            return
        lines, self._rest = self._rest + complete, rest
        yield from self._read_blocks(lines)

    def finish(self) -> Iterator[RowBlock]:
        """Yield the row of the last line, if it lacks its line feed."""
        if self._rest:
            lines, self._rest = self._rest, b""
            yield from self._read_blocks(lines)

    def _read_blocks(self, text: bytes) -> Iterator[RowBlock]:
        """Yield the rows of complete lines as a block, or nothing if all lines are blank."""
        first = self._line
        self._line += text.count(b"\n") + 1
        x = self._fast(text)
        if x is not None and self._ids is None:
            yield RowBlock(x, first)
            return
        lines = text.split(b"\n")
        if x is not None:
            yield self._add_ids(RowBlock(x, first), lines)
            return
        numbers = [number for number, line in enumerate(lines, first) if line.strip(_BLANKS)]
        if len(numbers) == len(lines):
            yield self._read_one_by_one(self._precise, lines, range(first, self._line))
            return
        self.blank_lines += len(lines) - len(numbers)
        if numbers:
            yield self._read_without_blanks([lines[number - first] for number in numbers], numbers)

    def _read_without_blanks(self, lines: list[bytes], numbers: Sequence[int]) -> RowBlock:
        x = self._fast(b"\n".join(lines))
        if x is None:
            return self._read_one_by_one(self._precise, lines, numbers)
        return self._add_ids(RowBlock(x, numbers[0], numbers=numbers), lines)

    def _add_ids(self, block: RowBlock, rows: Sequence[Any]) -> RowBlock:
        """Return the block with the ids of its rows, given as they came, if the request has ids."""
        return block if self._ids is None else block.identify(self._ids.of, rows, self._ids.column)

    def _read_one_by_one(self, read: Callable[[T], Float32], rows: Sequence[T], numbers: Sequence[int]) -> RowBlock:
        x = np.zeros((len(rows), self._width), dtype=np.float32)
        bad: dict[int, Problem] = {}
        for place, row in enumerate(rows):
            try:
                x[place] = read(row)[0]
            except InvalidInput as error:
                what = error.problems[0] if error.problems else Problem(None, None, str(error))
                bad[place] = Problem(numbers[place], what.feature, what.problem)
            except MalformedBody as error:
                bad[place] = Problem(numbers[place], None, str(error))
        return self._add_ids(RowBlock(x, numbers[0], bad, numbers), rows)
