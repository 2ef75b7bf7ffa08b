"""Read the rows of a body: a document as a whole, a table as it arrives.

Other requests run between two steps, or while a thread reads. This module must not know HTTP or any particular format.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import numpy as np

from app.context import require_wanted, reserve
from app.inference.codecs.blocks import BlockReader, DocumentReader, RowBlock, Unusual, require_few
from app.inference.dataplane import MAX_BATCH_ROWS, DataPlane
from app.inference.offload import OffloadThread
from app.inference.target import agree_on, require_name, resolve_version
from app.runtime.load import LoadedModel
from app.schema import Float32, ModelSchema
from app.telemetry.stage_timer import Stages


class DocumentReading:
    """Read documents; all rows of a document are read before the first is computed."""

    def __init__(self, plane: DataPlane, offload: OffloadThread, max_rows: int) -> None:
        self._plane = plane
        self._offload = offload
        self._max_rows = max_rows

    async def read(
        self, stages: Stages, reader: DocumentReader, name: str | None, version: int | None
    ) -> tuple[LoadedModel, list[RowBlock]]:
        """Return the version that answers, and the rows in blocks for one computation each.

        Name and version are those of the path, if any; if the document names them too, they must agree.

        Raises:
            ServingError: for any error of the document, and if no version can answer it.
        """
        model, size = None, reader.size_bytes
        if name is not None and (reader.has_steps or not reader.may_name_model):
            model = await resolve_version(self._plane, stages, name, version)
            if reader.has_steps:
                with contextlib.suppress(Unusual):
                    found = await self._read_in_steps(stages, reader, model.schema)
                    return model, _number_rows(found, at_once=reader.is_one_computation)
        async with self._offload.turn(size):
            envelope = await self._offload.run(size, reader.parse, self._max_rows)
            stages.record_parse()
            if model is None or reader.may_name_model:
                wanted = require_name(agree_on("model", name, envelope.model))
                model = await resolve_version(
                    self._plane, stages, wanted, agree_on("version", version, envelope.version)
                )
            x = await self._offload.run(reader.rows_bytes(model.schema), self._read_rows, reader, model.schema)
            stages.record_parse()
        return model, _number_rows([x], at_once=reader.is_one_computation)

    async def _read_in_steps(self, stages: Stages, reader: DocumentReader, schema: ModelSchema) -> list[Float32]:
        """Return the rows of a large document; all are read before any is computed, as the last may be unusual.

        Raises:
            Unusual: if the document must be read as a whole.
            TooManyRows.
        """
        blocks, rows = [], 0
        for x in reader.steps(schema):
            blocks.append(x)
            rows += len(x)
            require_few(rows, self._max_rows)
            stages.record_parse()
            await asyncio.sleep(0)  # other requests run
            stages.resume()
            require_wanted()
        return blocks

    def _read_rows(self, reader: DocumentReader, schema: ModelSchema) -> Float32:
        x = reader.rows(schema)
        require_few(len(x), self._max_rows)
        return x


def _number_rows(found: list[Float32], *, at_once: bool) -> list[RowBlock]:
    """Return the rows of a document in blocks: in one if they are computed at once, else in batches."""
    if at_once and len(found) > 1:
        found = [np.concatenate(found)]
    size = len(found[0]) if at_once else MAX_BATCH_ROWS
    blocks, first = [], 0
    for x in found:
        for start in range(0, len(x), size):
            blocks.append(RowBlock(x[start : start + size], first))
            first += len(blocks[-1].x)
    return blocks


async def read_stream(
    stages: Stages, reader: BlockReader, body: AsyncIterator[bytes], block_rows: int
) -> AsyncIterator[RowBlock]:
    """Yield the rows of a body as it arrives, in blocks of at most `block_rows` rows.

    Pieces are small enough to be read in a fraction of a millisecond, and blocks to be written in one.

    Raises:
        MalformedBody, InvalidInput.
        TooManyBytesHeld: if the memory budget has no room for what the reader holds of incomplete rows.
    """
    held = 0
    async for part in body:
        for start in range(0, len(part), reader.piece_bytes):
            stages.resume()
            for block in _split(stages, reader.feed(part[start : start + reader.piece_bytes]), block_rows):
                yield block
            reserve(reader.held_bytes - held)
            held = reader.held_bytes
            await asyncio.sleep(0)  # other requests run
    stages.resume()
    for block in _split(stages, reader.finish(), block_rows):
        yield block


def _split(stages: Stages, blocks: Iterator[RowBlock], block_rows: int) -> Iterator[RowBlock]:
    """Split blocks to the size in which they are written, and measure the time of reading them."""
    for block in blocks:
        for part in block.parts(block_rows):
            stages.record_parse()
            yield part
            stages.resume()
    stages.record_parse()
