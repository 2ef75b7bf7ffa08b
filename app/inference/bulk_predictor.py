"""Answer bodies that are read in blocks, either streamed or as a whole.

This module must not know HTTP or the store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from app.inference.bulk import Bulk
from app.inference.codecs.blocks import Reader, Writer
from app.inference.codecs.formats import BulkOptions
from app.inference.dataplane import DataPlane
from app.inference.target import require_name, resolve_version
from app.schema import Contract


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """A bulk request without its body.

    Attributes:
        name: name of the model.
        version: version of the model; None for the active one.
        reader: creates the reader for the body's format.
        writer: creates the writer for the answer's format.
        options: options of the formats.
    """

    name: str | None
    version: int | None
    reader: Callable[[Contract, BulkOptions], Reader]
    writer: Callable[[Contract, BulkOptions], Writer]
    options: BulkOptions


class BulkPredictor:
    """Answer prediction requests in all formats whose rows can be read one after another."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    async def stream(self, asked: BulkRequest, body: AsyncIterator[bytes]) -> tuple[str, AsyncIterator[bytes]]:
        """Answer a body while it arrives; return the content type and the parts of the answer.

        Raises:
            ServingError: for any error of the request or the model before the first part.
        """
        bulk = await self._bulk(asked)
        parts = bulk.streamed(body)
        return bulk.writer.content_type, _begun(await anext(parts), parts)

    async def whole(self, asked: BulkRequest, body: AsyncIterator[bytes]) -> tuple[str, list[bytes], int]:
        """Answer a body once all of it is known to be valid.

        Returns:
            Content type, parts of the answer, and the number of blank lines that were skipped in the body.

        Raises:
            ServingError: for any error of the request or the model.
        """
        bulk = await self._bulk(asked)
        parts = await bulk.whole(body)
        return bulk.writer.content_type, parts, bulk.reader.blank_lines

    async def _bulk(self, asked: BulkRequest) -> Bulk:
        name = require_name(asked.name)
        stages = self._plane.stages(name if asked.version is None else None)
        model = await resolve_version(self._plane, stages, name, asked.version)
        reader, writer = asked.reader(model.contract, asked.options), asked.writer(model.contract, asked.options)
        return Bulk(self._plane, model, stages, reader, writer, asked.options.skip)


async def _begun(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part
