"""Readers and writers: what every format has in common.

This module must not know any particular format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from app.errors import InvalidInput, MalformedBody, Problem, ServingError
from app.inference.errors import TooManyRows
from app.inference.options import PredictionOptions
from app.inference.predictions import Predictions
from app.schema import Float32, ModelSchema

TEXT_PIECE_BYTES = 16 << 10
BINARY_PIECE_BYTES = 256 << 10
TEXT_BLOCK_ROWS = 512
BINARY_BLOCK_ROWS = 16384


@dataclass(slots=True)
class RowBlock:
    """Rows that arrived together.

    Attributes:
        x: cells, float32, shape (N, W); a bad row is all 0.
        first: number of the first row, as the format counts: lines from 1, rows from 0.
        bad: index in the block to the problem of that row.
        numbers: numbers of the rows, if they are not consecutive because of blank lines.
        ids: the caller's own id of each row, None for a row without one; None if the request has none.
    """

    x: Float32
    first: int
    bad: dict[int, Problem] = field(default_factory=dict)
    numbers: Sequence[int] | None = None
    ids: Sequence[str | None] | None = None

    def number(self, place: int) -> int:
        """Return the number of a row, as the format counts."""
        return self.first + place if self.numbers is None else self.numbers[place]

    def parts(self, rows: int) -> Iterator[RowBlock]:
        """Split the block into blocks of at most `rows` rows."""
        if len(self.x) <= rows:
            yield self
            return
        for start in range(0, len(self.x), rows):
            places = range(start, start + rows) if self.bad else ()
            bad = {place - start: self.bad[place] for place in places if place in self.bad}
            numbers = None if self.numbers is None else self.numbers[start : start + rows]
            ids = None if self.ids is None else self.ids[start : start + rows]
            yield RowBlock(self.x[start : start + rows], self.number(start), bad, numbers, ids)

    def identify(self, read: Callable[[Any], str | None], rows: Sequence[Any], column: str) -> RowBlock:
        """Return the block with the ids of its rows; a row whose id has not the form of one is bad.

        Args:
            read: returns the id of a row, or raises InvalidInput or MalformedBody.
            rows: the rows as they came.
            column: name of the column of the ids, for messages.
        """
        ids: list[str | None] = []
        wrong: list[int] = []
        for place, row in enumerate(rows):
            try:
                ids.append(read(row))
            except (InvalidInput, MalformedBody) as error:
                ids.append(None)
                wrong.append(place)
                self.bad.setdefault(place, Problem(self.number(place), column, str(error)))
        if wrong:
            self.x = np.array(self.x)  # it may be a view of the body
            self.x[wrong] = 0
        self.ids = ids
        return self


class Unusual(Exception):
    """Raised if a document is not plain enough to be read in steps; it must then be read as a whole."""


class Envelope(NamedTuple):
    """Model and version that a document names, if it does."""

    model: str | None = None
    version: int | None = None


def require_few(rows: int, max_rows: int) -> None:
    """Refuse documents with too many rows.

    Raises:
        TooManyRows.
    """
    if rows > max_rows:
        raise TooManyRows(max_rows)


class DocumentReader(Protocol):
    """Read a body that is one document: all rows are read before the first is computed."""

    size_bytes: int
    """Bytes to parse; large documents are parsed in a thread."""

    has_steps: bool
    """Whether the document is large enough to be read in steps."""

    may_name_model: bool
    """Whether the envelope may name the model and its version."""

    is_one_computation: bool
    """Whether all rows are computed together and count as one request in the statistics."""

    @property
    def options(self) -> PredictionOptions:
        """Return what the request asks for, once the document was read."""

    @property
    def deadline_ns(self) -> int | None:
        """Return the deadline that the document sets, on the clock of `time.perf_counter_ns`, once it was read."""

    def steps(self, schema: ModelSchema) -> Iterator[Float32]:
        """Yield the rows in blocks, float32, shape (n, F), finite.

        Raises:
            Unusual: if the document must be read as a whole; possibly after some blocks.
        """

    def parse(self, max_rows: int) -> Envelope:
        """Parse the document as a whole, and keep the parsed values.

        Raises:
            MalformedBody, InvalidInput.
            TooManyRows: if more than `max_rows` are known already.
        """

    def rows_bytes(self, schema: ModelSchema) -> int:
        """Return the bytes whose values are converted one by one; many are converted in a thread."""

    def rows(self, schema: ModelSchema) -> Float32:
        """Return the rows of the parsed document, float32, shape (N, F), finite, and release the parsed values.

        Raises:
            InvalidInput.
        """


class BlockReader(Protocol):
    """Turn a body, fed piece by piece as it arrives, into blocks."""

    unit: str
    """The unit of `RowBlock.first`: `line` or `row`."""

    piece_bytes: int
    """Bytes to feed at a time: an amount that blocks the event loop for a fraction of a millisecond."""

    @property
    def blank_lines(self) -> int:
        """Return the number of blank lines that were skipped so far."""

    @property
    def held_bytes(self) -> int:
        """Return the size of what has arrived and is kept for rows to come; it counts for the memory budget."""

    def feed(self, data: bytes) -> Iterator[RowBlock]:
        """Feed a piece of the body, and yield the rows that are complete now.

        Raises:
            MalformedBody, InvalidInput: for an error after which the rest of the body cannot be read.
        """

    def finish(self) -> Iterator[RowBlock]:
        """Yield the remaining rows at the end of the body."""


class RowByRow:
    """Part of writers that write numbered rows one by one, at some microseconds each."""

    numbered_block_rows = 64

    def head(self) -> bytes:
        """Return nothing: the format has no header."""
        return b""

    def tail(self) -> bytes:
        """Return nothing: the format has no end marker."""
        return b""

    def numbered_row(self, number: int, predictions: Predictions | None, problem: Problem | None) -> bytes:
        """Return one row with its number: its answer or its problem."""
        raise NotImplementedError

    def numbered_rows(self, predictions: Predictions, block: RowBlock) -> bytes:
        """Return the rows of a block, each with its number."""
        texts = []
        for row in range(predictions.rows):
            problem, place = block.bad.get(row), predictions.start + row
            one = None if problem else Predictions(predictions.batch, place, place + 1)
            texts.append(self.numbered_row(block.number(row), one, problem))
        return b"".join(texts)


class Writer(Protocol):
    """Turn answers into bytes, in the order of the rows."""

    content_type: str

    block_rows: int
    """Largest number of rows to write at a time, for the same reason as `BlockReader.piece_bytes`."""

    def head(self) -> bytes:
        """Return the bytes before the first row."""

    def rows(self, predictions: Predictions) -> bytes:
        """Return the rows of a block."""

    def tail(self) -> bytes:
        """Return the bytes after the last row."""


class BlockWriter(Writer, Protocol):
    """Turn answers into bytes while their rows still arrive, so that a bad row may come after good ones."""

    numbered_block_rows: int
    """Largest number of rows to write at a time with their problems."""

    def numbered_rows(self, predictions: Predictions, block: RowBlock) -> bytes:
        """Return the rows of a block, each with its number: its answer or its problem."""

    def failure(self, error: ServingError) -> bytes:
        """Return the last bytes of an answer that breaks off."""
