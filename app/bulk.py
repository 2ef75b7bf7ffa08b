"""Answers many rows in blocks while they arrive, in bounded memory; it must not know HTTP or any format."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from app.codecs.blocks import Block, Reader, Writer
from app.dataplane import OVERFLOW, DataPlane, overflows
from app.errors import InvalidInput, Problem, ServingError
from app.runtime import LoadedModel
from app.scores import Answer


class BrokenOff(Exception):
    """The answer could not be finished; its last words were sent, and its end must be missing."""


async def answer_blocks(
    plane: DataPlane, model: LoadedModel, reader: Reader, writer: Writer, body: AsyncIterator[bytes], *, skip: bool
) -> AsyncIterator[bytes]:
    """Yield the answer to a body as it arrives.

    Args:
        plane: answers rows.
        model: the version that answers all of them.
        reader: of the body's format.
        writer: of the answer's format.
        body: the body in parts of any size.
        skip: answer a bad row in its place with what is wrong.

    Raises:
        ServingError: if nothing was yielded yet; the client can still be told properly.
        BrokenOff: if the answer had begun; what was wrong has been yielded as its last words.
    """
    begun = False
    try:
        async for block in _blocks(reader, body):
            answer = await plane.infer(model, block.x)
            block.bad |= {row: Problem(block.first + row, None, OVERFLOW) for row in overflows(answer)}
            text = (
                b"".join(_numbered(writer, answer, block)) if skip else writer.rows(_whole(answer, block, reader.unit))
            )
            yield text if begun else writer.head() + text
            begun = True
    except ServingError as error:
        if not begun:
            raise
        yield writer.failure(error)
        raise BrokenOff(str(error)) from error
    yield writer.tail() if begun else writer.head() + writer.tail()


async def _blocks(reader: Reader, body: AsyncIterator[bytes]) -> AsyncIterator[Block]:
    async for part in body:
        for start in range(0, len(part), reader.piece_bytes):
            for block in reader.feed(part[start : start + reader.piece_bytes]):
                yield block
            await asyncio.sleep(0)  # other requests get their turn
    for block in reader.finish():
        yield block


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
        yield writer.numbered(block.first + row, one, problem)
