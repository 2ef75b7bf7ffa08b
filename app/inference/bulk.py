"""Answer many rows in blocks while they arrive, in bounded memory.

This module must not know HTTP or any particular format.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from app.errors import InvalidInput, Problem, ServingError
from app.holding import hold
from app.inference.codecs.blocks import Block, Reader, Writer
from app.inference.dataplane import OVERFLOW, DataPlane, overflows
from app.inference.predictions import Predictions
from app.runtime.load import LoadedModel
from app.telemetry.stage_timer import Stages

# Numbered rows are written one by one, at some microseconds each.
NUMBERED_BLOCK_ROWS = 64


class BrokenOff(Exception):
    """Raised when an answer breaks off after an error was written; the body must then stay visibly incomplete."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """How the rows of one body are read, answered and written.

    Attributes:
        plane: computes the answers.
        model: the version that answers all rows.
        stages: measures the request.
        reader: reader for the body's format.
        writer: writer for the answer's format.
        skip: answer a bad row, in its place, with the problem.
    """

    plane: DataPlane
    model: LoadedModel
    stages: Stages
    reader: Reader
    writer: Writer
    skip: bool

    async def whole(self, body: AsyncIterator[bytes]) -> list[bytes]:
        """Return the whole answer to a body, in parts.

        Args:
            body: the body in parts of any size.

        Raises:
            ServingError: for any error, wherever it is in the body.
        """
        with self.stages:
            parts = [self.writer.head()]
            async for text in self._rows(body):
                hold(len(text))
                parts.append(text)
            return [*parts, self.writer.tail()]

    async def streamed(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the answer to a body as it arrives.

        Args:
            body: the body in parts of any size.

        Raises:
            ServingError: if nothing was yielded yet, so an error response is still possible.
            BrokenOff: if the answer had begun; the error has been yielded as its last part.
        """
        begun = False
        with self.stages:
            try:
                async for text in self._rows(body):
                    yield text if begun else self.writer.head() + text
                    begun = True
            except ServingError as error:
                if not begun:
                    raise
                yield self.writer.failure(error)
                raise BrokenOff(str(error)) from error
            yield self.writer.tail() if begun else self.writer.head() + self.writer.tail()

    async def _rows(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the rows of the answer block by block.

        Raises:
            ServingError: for any error.
        """
        async for block in self._blocks(body):
            predictions = await self.plane.infer(self.model, block.x)
            self.stages.computed(*predictions.batch.timing)
            block.bad |= {row: Problem(block.number(row), None, OVERFLOW) for row in overflows(predictions)}
            if self.skip:
                text = b"".join(_numbered(self.writer, predictions, block))
            else:
                text = self.writer.rows(_whole(predictions, block, self.reader.unit))
            self.stages.encoded()
            yield text

    async def _blocks(self, body: AsyncIterator[bytes]) -> AsyncIterator[Block]:
        """Yield blocks small enough to be read, and later written, in a fraction of a millisecond."""
        async for part in body:
            for start in range(0, len(part), self.reader.piece_bytes):
                self.stages.resume()
                for piece in self._pieces(self.reader.feed(part[start : start + self.reader.piece_bytes])):
                    yield piece
                await asyncio.sleep(0)  # other requests get their turn
        self.stages.resume()
        for piece in self._pieces(self.reader.finish()):
            yield piece

    def _pieces(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Split blocks to the size in which they are written, and measure the time of reading them."""
        rows = NUMBERED_BLOCK_ROWS if self.skip else self.writer.block_rows
        for block in blocks:
            for piece in block.parts(rows):
                self.stages.parsed()
                yield piece
                self.stages.resume()
        self.stages.parsed()


def _whole(predictions: Predictions, block: Block, unit: str) -> Predictions:
    """Return the answer of a block if it has no bad rows.

    Raises:
        InvalidInput: if a row is bad; names the line or row, and the column.
    """
    if not block.bad:
        return predictions
    problems = tuple(block.bad.values())
    first = problems[0]
    where = f", column {first.feature!r}" if first.feature else ""
    raise InvalidInput(f"{unit} {first.row}{where}: {first.problem}. {predictions.contract.expectation}", problems)


def _numbered(writer: Writer, predictions: Predictions, block: Block) -> Iterator[bytes]:
    for row in range(predictions.rows):
        problem: Problem | None = block.bad.get(row)
        one = None if problem else Predictions(predictions.batch, predictions.start + row, predictions.start + row + 1)
        yield writer.numbered(block.number(row), one, problem)
