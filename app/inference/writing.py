"""Compute and write the rows of a request, block by block.

The answer is collected until all rows are known to be valid, or streamed. This module must not know HTTP or any
particular format.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.context import reserve
from app.errors import MAX_PROBLEMS, ServingError
from app.inference.additions.addition import Addition
from app.inference.additions.choice import extend
from app.inference.batch_predictions import batch_of
from app.inference.codecs.blocks import BlockWriter, RowBlock, Writer
from app.inference.codecs.warnings import find_bad_rows, refusal
from app.inference.dataplane import DataPlane
from app.inference.predictions import Predictions
from app.runtime.load import LoadedModel
from app.schema import ModelSchema
from app.telemetry.stage_timer import Stages


class BrokenOff(Exception):
    """The answer ended with an error after it had begun; the response must stay visibly incomplete."""


@dataclass(slots=True)  # frozen ones take three times as long to create
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
        strict: refuse rows with unusual values, which are answered with a warning otherwise.
        schema: the version's schema with the decision of the request; None for the schema as it is.
        additions: what is added to the usual answer.
    """

    plane: DataPlane
    model: LoadedModel
    stages: Stages
    writer: Writer
    skip: BlockWriter | None = None
    unit: str = "row"
    advice: str = ""
    deadline_ns: int | None = None
    strict: bool = False
    schema: ModelSchema | None = None
    additions: Sequence[Addition] = ()

    @property
    def block_rows(self) -> int:
        """Return the largest number of rows to write at a time."""
        return self.skip.numbered_block_rows if self.skip else self.writer.block_rows

    async def collect(self, blocks: Sequence[RowBlock]) -> list[bytes]:
        """Return the whole answer to rows that have all been read, in parts, and reserve memory for it.

        Raises:
            ServingError: for any error.
        """
        self._expect(blocks)
        return await self._collect(blocks)

    async def collect_stream(self, blocks: AsyncIterator[RowBlock]) -> list[bytes]:
        """Return the whole answer to rows that are still arriving; see `collect`."""
        if any(addition.limits_rows for addition in self.additions):
            return await self._collect(await self._gather(blocks))
        parts = [self.writer.head()]
        async for block in blocks:
            parts.append(await self.answer(block))
            reserve(len(parts[-1]))
        return await self._end(parts)

    async def _gather(self, blocks: AsyncIterator[RowBlock]) -> list[RowBlock]:
        """Return all rows, which are too few to take much memory, as more are refused before they are gathered."""
        found: list[RowBlock] = []
        async for block in blocks:
            self._require_good(block)
            reserve(block.x.nbytes)
            found.append(block)
            self._expect(found)
        return found

    def _expect(self, blocks: Sequence[RowBlock]) -> None:
        for addition in self.additions:
            addition.expect(sum(len(block.x) - len(block.bad) for block in blocks))

    async def _collect(self, blocks: Sequence[RowBlock]) -> list[bytes]:
        parts = [self.writer.head()]
        for block in blocks:
            parts.append(await self.answer(block))
            reserve(len(parts[-1]))
        return await self._end(parts)

    async def _end(self, parts: list[bytes]) -> list[bytes]:
        parts.append(self.writer.tail())
        reserve(len(parts[-1]))
        self.stages.record_encode()
        if self.additions:
            await self.finish()
        return parts

    async def answer(self, block: RowBlock) -> bytes:
        """Compute the rows of a block and return them as text; `finish` must follow before they are sent.

        Raises:
            ServingError: for any error.
        """
        self._require_good(block)
        predictions = await self._infer(block)
        self.stages.record_compute(*predictions.batch.timing)
        if self.schema is not None and self.schema is not self.model.schema:
            predictions = predictions.under(self.schema)
        most = None if self.skip is not None else MAX_PROBLEMS
        block.bad = find_bad_rows(predictions, block.number, strict=self.strict, most=most) | block.bad
        self._require_good(block)
        if self.additions:
            predictions = await self._extend(predictions, block)
        if self.skip is not None:
            text = self.skip.numbered_rows(predictions, block)
        elif predictions.rows <= self.writer.block_rows:
            text = self.writer.rows(predictions)
        else:
            text = await self._write_in_steps(predictions)
        self.stages.record_encode()
        return text

    async def finish(self) -> None:
        """Keep what is to be kept of the rows that were answered, as none of them will be refused any more.

        Raises:
            ServingError: if that is not possible.
        """
        began_ns = time.perf_counter_ns()
        for addition in self.additions:
            await addition.finish()
        self.stages.record_compute(began_ns, time.perf_counter_ns() - began_ns)

    async def _infer(self, block: RowBlock) -> Predictions:
        """Return the predictions of a block; bad rows are not computed or counted, and their outputs are 0."""
        if not block.bad:
            return await self.plane.infer(self.model, block.x, self.deadline_ns)
        good = np.delete(np.arange(len(block.x)), list(block.bad))
        outputs = np.zeros((len(block.x), self.model.schema.outputs), dtype=np.float32)
        timing = time.perf_counter_ns(), 0
        if len(good):
            found = await self.plane.infer(self.model, block.x[good], self.deadline_ns)
            outputs[good], timing = found.outputs, found.batch.timing
        batch = batch_of(self.model.schema, block.x, outputs)
        batch.timing = timing
        return Predictions(batch, 0, len(block.x))

    def _require_good(self, block: RowBlock) -> None:
        """Refuse the request if a row of the block is bad, unless such rows are skipped."""
        if block.bad and self.skip is None:
            raise refusal(block.bad.values(), self.unit, self.advice)

    async def _extend(self, predictions: Predictions, block: RowBlock) -> Predictions:
        """Return the predictions with what is added to them, and count its time as computing."""
        began_ns = time.perf_counter_ns()
        extended = await extend(predictions, self.additions, block.bad, block.ids)
        self.stages.record_compute(began_ns, time.perf_counter_ns() - began_ns)
        return extended

    async def _write_in_steps(self, predictions: Predictions) -> bytes:
        texts, size = [], self.writer.block_rows
        for start in range(0, predictions.rows, size):
            texts.append(self.writer.rows(predictions.part(start, size)))
            self.stages.record_encode()
            await asyncio.sleep(0)  # other requests run
            self.stages.resume()
        return b"".join(texts)


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
            async for block in blocks:
                text = await writing.answer(block)
                if writing.additions:
                    await writing.finish()
                yield text if begun else writer.head() + text
                begun = True
        except ServingError as error:
            if not begun:
                raise
            yield writer.failure(error)
            raise BrokenOff(str(error)) from error
        yield writer.tail() if begun else writer.head() + writer.tail()
