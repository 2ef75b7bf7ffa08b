"""From a body that is read in blocks to its answer, while it arrives or when all of it is there; no HTTP, no store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from app.inference.bulk import Bulk
from app.inference.codecs.blocks import Reader, Writer
from app.inference.codecs.formats import BulkOptions
from app.inference.dataplane import DataPlane
from app.inference.target import required, resolved
from app.schema import Contract


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """What is asked for, but the body.

    Attributes:
        name: of the model.
        version: of the model; None for the active one.
        reader: makes the reader of the body's format.
        writer: makes the writer of the answer's format.
        options: of the formats.
    """

    name: str | None
    version: int | None
    reader: Callable[[Contract, BulkOptions], Reader]
    writer: Callable[[Contract, BulkOptions], Writer]
    options: BulkOptions


class BulkPredictor:
    """Answers predictions in all formats whose rows can be read one after another."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    async def stream(self, asked: BulkRequest, body: AsyncIterator[bytes]) -> tuple[str, AsyncIterator[bytes]]:
        """Return content type and parts of the answer to a body that is answered while it arrives.

        Raises:
            ServingError: whatever is wrong with request or model before the first part.
        """
        bulk = await self._bulk(asked)
        parts = bulk.streamed(body)
        return bulk.writer.content_type, _begun(await anext(parts), parts)

    async def whole(self, asked: BulkRequest, body: AsyncIterator[bytes]) -> tuple[str, list[bytes], int]:
        """Return content type and parts of the answer to a body that is answered when all of it is found good.

        The third is how many blank lines of the body were passed over.

        Raises:
            ServingError: whatever is wrong with request or model.
        """
        bulk = await self._bulk(asked)
        parts = await bulk.whole(body)
        return bulk.writer.content_type, parts, bulk.reader.blank_lines

    async def _bulk(self, asked: BulkRequest) -> Bulk:
        name = required(asked.name)
        stages = self._plane.stages(name if asked.version is None else None)
        model = await resolved(self._plane, stages, name, asked.version)
        reader, writer = asked.reader(model.contract, asked.options), asked.writer(model.contract, asked.options)
        return Bulk(self._plane, model, stages, reader, writer, asked.options.skip)


async def _begun(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part
