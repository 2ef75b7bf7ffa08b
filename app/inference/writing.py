"""Compute and write the rows of a request, block by block.

The answer is collected until all rows are known to be valid, or streamed. This module must not know HTTP or any
particular format.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from app.errors import InvalidInput, Problem, ServingError
from app.holding import hold
from app.inference.codecs.blocks import BlockWriter, RowBlock, Writer
from app.inference.dataplane import OVERFLOW, DataPlane, overflows
from app.inference.predictions import Predictions
from app.runtime.load import LoadedModel
from app.telemetry.stage_timer import Stages

# Numbered rows are written one by one, at some microseconds each.
NUMBERED_BLOCK_ROWS = 64


class BrokenOff(Exception):
    """Raised when an answer breaks off after an error was written; the body must then stay visibly incomplete."""


@dataclass(frozen=True, slots=True)
class AnswerWriting:
    """Compute and write the rows of one request.

    Attributes:
        plane: computes the predictions.
        model: the version that answers all rows.
        stages: measures the request.
        writer: writer for the answer's format.
        skip: writer that answers a bad row, in its place, with the problem; None to refuse the request.
        unit: what the numbers of rows count, for error messages.
        advice: ends the message about a bad row.
        deadline_ns: no computation starts after it.
    """

    plane: DataPlane
    model: LoadedModel
    stages: Stages
    writer: Writer
    skip: BlockWriter | None = None
    unit: str = "row"
    advice: str = ""
    deadline_ns: int | None = None

    @property
    def block_rows(self) -> int:
        """Return the largest number of rows to write at a time."""
        return NUMBERED_BLOCK_ROWS if self.skip else self.writer.block_rows

    async def collect(self, blocks: AsyncIterator[RowBlock]) -> list[bytes]:
        """Return the whole answer, in parts that are not empty, and reserve memory for it.

        Raises:
            ServingError: for any error, wherever it is in the body.
        """
        parts = [self.writer.head()]
        async for text in self.write(blocks):
            hold(len(text))
            parts.append(text)
        parts.append(self.writer.tail())
        hold(len(parts[-1]))
        self.stages.encoded()
        return list(filter(None, parts))

    async def write(self, blocks: AsyncIterator[RowBlock]) -> AsyncIterator[bytes]:
        """Compute rows block by block and yield them as text.

        Raises:
            ServingError: for any error.
        """
        async for block in blocks:
            predictions = await self.plane.infer(self.model, block.x, self.deadline_ns)
            self.stages.computed(*predictions.batch.timing)
            block.bad |= {row: Problem(block.number(row), None, OVERFLOW) for row in overflows(predictions)}
            if block.bad and self.skip is None:
                raise self._refusal(tuple(block.bad.values()))
            for start in range(0, predictions.rows, self.block_rows):
                if start:
                    await asyncio.sleep(0)  # other requests get their turn
                    self.stages.resume()
                part = predictions.part(start, self.block_rows)
                text = self.writer.rows(part) if self.skip is None else _write_numbered(self.skip, part, block)
                self.stages.encoded()
                yield text

    def _refusal(self, problems: tuple[Problem, ...]) -> InvalidInput:
        """Return the error for bad rows; names the line or row, and the column."""
        first = problems[0]
        where = f", column {first.feature!r}" if first.feature else ""
        return InvalidInput(f"{self.unit} {first.row}{where}: {first.problem}{self.advice}", problems)


async def stream_answer(
    writing: AnswerWriting, writer: BlockWriter, blocks: AsyncIterator[RowBlock]
) -> AsyncIterator[bytes]:
    """Yield an answer block by block.

    Raises:
        ServingError: if nothing was yielded yet, so an error response is still possible.
        BrokenOff: if the answer had begun; the error has been yielded as its last part.
    """
    begun = False
    with writing.stages:
        try:
            async for text in writing.write(blocks):
                yield text if begun else writer.head() + text
                begun = True
        except ServingError as error:
            if not begun:
                raise
            yield writer.failure(error)
            raise BrokenOff(str(error)) from error
        yield writer.tail() if begun else writer.head() + writer.tail()


def _write_numbered(writer: BlockWriter, predictions: Predictions, block: RowBlock) -> bytes:
    texts = []
    for row in range(predictions.rows):
        problem: Problem | None = block.bad.get(row)
        place = predictions.start + row
        one = None if problem else Predictions(predictions.batch, place, place + 1)
        texts.append(writer.numbered(block.number(row), one, problem))
    return b"".join(texts)
