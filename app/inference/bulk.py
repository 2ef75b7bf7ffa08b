"""Answers many rows in blocks while they arrive, in bounded memory; it must not know HTTP or any format."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from app.errors import InvalidInput, Problem, ServingError
from app.holding import hold
from app.inference.codecs.blocks import Block, Reader, Writer
from app.inference.dataplane import OVERFLOW, DataPlane, overflows
from app.inference.predictions import Answer
from app.runtime.load import LoadedModel
from app.telemetry.stage_timer import Stages

# Rows with numbers are written one by one, some microseconds each.
NUMBERED_BLOCK_ROWS = 64


class BrokenOff(Exception):
    """The answer could not be finished; its last words were sent, and its end must be missing."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """How the rows of one body are read, answered and written.

    Attributes:
        plane: answers rows.
        model: the version that answers all of them.
        stages: measures the request.
        reader: of the body's format.
        writer: of the answer's format.
        skip: answer a bad row in its place with what is wrong.
    """

    plane: DataPlane
    model: LoadedModel
    stages: Stages
    reader: Reader
    writer: Writer
    skip: bool

    async def whole(self, body: AsyncIterator[bytes]) -> list[bytes]:
        """Return the answer to a body in parts, all of them or none.

        Args:
            body: the body in parts of any size.

        Raises:
            ServingError: whatever is wrong, wherever it is.
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
            ServingError: if nothing was yielded yet; the client can still be told properly.
            BrokenOff: if the answer had begun; what was wrong has been yielded as its last words.
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
            ServingError: whatever is wrong.
        """
        async for block in self._blocks(body):
            answer = await self.plane.infer(self.model, block.x)
            self.stages.computed(answer.scores.began_ns, answer.scores.took_ns)
            block.bad |= {row: Problem(block.number(row), None, OVERFLOW) for row in overflows(answer)}
            if self.skip:
                text = b"".join(_numbered(self.writer, answer, block))
            else:
                text = self.writer.rows(_whole(answer, block, self.reader.unit))
            self.stages.encoded()
            yield text

    async def _blocks(self, body: AsyncIterator[bytes]) -> AsyncIterator[Block]:
        """Yield what is read in blocks that are read, and will be written, in a fraction of a millisecond."""
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
        """Yield blocks as small as they will be written, and measure how long reading them takes."""
        rows = NUMBERED_BLOCK_ROWS if self.skip else self.writer.block_rows
        for block in blocks:
            for piece in block.parts(rows):
                self.stages.parsed()
                yield piece
                self.stages.resume()
        self.stages.parsed()


def _whole(answer: Answer, block: Block, unit: str) -> Answer:
    """Return the answer of a block without bad rows.

    Raises:
        InvalidInput: naming line or row, and column.
    """
    if not block.bad:
        return answer
    problems = tuple(block.bad.values())
    first = problems[0]
    where = f", column {first.feature!r}" if first.feature else ""
    raise InvalidInput(f"{unit} {first.row}{where}: {first.problem}. {answer.contract.expectation}", problems)


def _numbered(writer: Writer, answer: Answer, block: Block) -> Iterator[bytes]:
    for row in range(answer.rows):
        problem: Problem | None = block.bad.get(row)
        one = None if problem else Answer(answer.scores, answer.start + row, answer.start + row + 1)
        yield writer.numbered(block.number(row), one, problem)
