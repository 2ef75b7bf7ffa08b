"""Answer prediction requests of every format, from bytes to bytes.

Each request takes the same steps: resolve the version, read rows, compute, refuse bad rows, write. This module must not
know HTTP or the store.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from app.errors import InvalidInput
from app.inference.batch_predictions import batch_of
from app.inference.batcher import Done, Entry
from app.inference.choice import overridden
from app.inference.codecs import json as json_codec
from app.inference.codecs.blocks import BlockReader, BlockWriter, DocumentReader, Writer
from app.inference.codecs.converters import example_row
from app.inference.codecs.formats import BulkOptions
from app.inference.codecs.json_answers import write_answer
from app.inference.codecs.oip_reader import OipReader, example_body
from app.inference.dataplane import MAX_BATCH_ROWS, DataPlane, require_finite
from app.inference.offload import OffloadThread
from app.inference.predictions import Predictions
from app.inference.reading import DocumentReading, read_stream
from app.inference.target import agree_on, require_name, resolve_version
from app.inference.writing import AnswerWriting, stream_answer
from app.runtime.load import LoadedModel
from app.schema import Float32, ModelSchema
from app.telemetry.stage_timer import outcome_of
from app.telemetry.version_counters import VersionCounts

WARM_UPS = 5

Finish = Callable[[bytes | Exception], None]
W = TypeVar("W", bound=Writer)


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """A request in a format that is read row by row; its body is passed separately.

    Attributes:
        name: name of the model.
        version: version of the model; None for the active one.
        reader: creates the reader for the body's format.
        writer: creates the writer for the answer's format.
        options: options of the formats.
    """

    name: str | None
    version: int | None
    reader: Callable[[ModelSchema, BulkOptions], BlockReader]
    writer: Callable[[ModelSchema, BulkOptions], BlockWriter]
    options: BulkOptions


class Pipeline:
    """Answer predictions, for every route that needs them and for the fast path from the socket."""

    def __init__(self, plane: DataPlane, offload: OffloadThread, max_rows: int) -> None:
        """Create the pipeline.

        Args:
            plane: computes the predictions.
            offload: reads large documents that cannot be read in steps.
            max_rows: largest number of rows in a document.
        """
        self._plane = plane
        self._documents = DocumentReading(plane, offload, max_rows)
        self._max_soon_rows = min(max_rows, MAX_BATCH_ROWS)

    def answer_soon(self, body: bytes, name: str, finish: Finish, *, alone: bool) -> Entry[Float32, Predictions] | None:
        """Answer a small JSON request to the active version of a model without a task or a future.

        Args:
            body: the request's body; its content type has been checked.
            name: model named by the path.
            finish: called once with the JSON or the exception, immediately or when the event loop's iteration ends.
            alone: no other request can arrive in this iteration.

        Returns:
            The queued entry, for cancelling; None if the request names a version or has many rows and so needs
            `answer_document` instead.

        Raises:
            ServingError: for any error of the request or the model.
        """
        began_ns = time.perf_counter_ns()
        try:
            request = json_codec.read_request(body)
            if request.version is not None or len(request.instances) > self._max_soon_rows:
                return None
            if request.model is not None:
                agree_on("model", name, request.model)
            model = self._plane.active(name)
            x = json_codec.read_rows(request, model.schema)
            parsed_ns = time.perf_counter_ns()
            done = _finisher(self._plane.counts(model), finish, began_ns, parsed_ns)
            return self._plane.submit(model, x, done, alone=alone)
        except Exception as error:
            if (counts := self._plane.counts_of_refused(name)) is not None:
                counts.count_end(outcome_of(error))
            raise

    async def answer_document(
        self, reader: DocumentReader, name: str | None, version: int | None, make_writer: Callable[[ModelSchema], W]
    ) -> tuple[W, list[bytes]]:
        """Return the writer of the answer to a document, and the answer in parts.

        Args:
            reader: reads the document.
            name: model named by the path, if any; if the document names one too, they must agree.
            version: version named by the path, if any; likewise.
            make_writer: creates the writer; called after the document was read.

        Raises:
            ServingError: for any error of the request or the model.
        """
        with self._plane.stages(name if version is None else None) as stages:
            model, blocks = await self._documents.read(stages, reader, name, version)
            schema = overridden(model.schema, reader.override)
            writer = make_writer(schema)
            strict = schema.strict if reader.strict is None else reader.strict
            writing = AnswerWriting(
                self._plane, model, stages, writer, deadline_ns=reader.deadline_ns, strict=strict, schema=schema
            )
            return writer, await writing.collect(blocks)

    async def answer_whole(self, request: BulkRequest, body: AsyncIterator[bytes]) -> tuple[str, list[bytes], int]:
        """Answer a body that is read as it arrives, after all its rows have proved valid.

        Returns:
            Content type, parts of the answer, and the number of blank lines that were skipped in the body.

        Raises:
            ServingError: for any error of the request or the model, wherever it is in the body.
        """
        writing, reader, writer = await self._prepare(request)
        with writing.stages:
            blocks = read_stream(writing.stages, reader, body, writing.block_rows)
            parts = await writing.collect_stream(blocks)
        return writer.content_type, parts, reader.blank_lines

    async def answer_stream(self, request: BulkRequest, body: AsyncIterator[bytes]) -> tuple[str, AsyncIterator[bytes]]:
        """Answer a body while it arrives; return the content type and the parts of the answer.

        Raises:
            ServingError: for any error of the request or the model before the first part.
        """
        writing, reader, writer = await self._prepare(request)
        parts = stream_answer(writing, writer, read_stream(writing.stages, reader, body, writing.block_rows))
        return writer.content_type, _put_back(await anext(parts), parts)

    def warm_up(self, model: LoadedModel) -> None:
        """Answer typical requests and drop the answers, so that no client pays for first-call costs."""
        schema = model.schema
        row = example_row(schema, np.array(model.manifest.golden.features[0], dtype=np.float32))
        body = json_codec.example_body([row])
        for _ in range(WARM_UPS):
            x = json_codec.read_rows(json_codec.read_request(body), schema)
            predictions = Predictions(batch_of(schema, x, model.infer(x)), 0, len(x))
            with contextlib.suppress(InvalidInput):  # a strict version refuses a row without values
                write_answer(predictions)
            for binary in (False, True):
                reader = OipReader(example_body(schema, row, binary=binary), arrived_ns=0)
                reader.parse(1)
                reader.rows(schema)
                writer = reader.writer(schema)
                writer.rows(predictions)
                writer.tail()

    async def _prepare(self, request: BulkRequest) -> tuple[AnswerWriting, BlockReader, BlockWriter]:
        """Resolve the version of a bulk request and create its reader and writer."""
        name = require_name(request.name)
        stages = self._plane.stages(name if request.version is None else None)
        model = await resolve_version(self._plane, stages, name, request.version)
        schema = overridden(model.schema, request.options.override)
        reader, writer = request.reader(schema, request.options), request.writer(schema, request.options)
        skip = writer if request.options.skip else None
        advice = f". {model.schema.expectation}"
        strict = schema.strict if request.options.strict is None else request.options.strict
        writing = AnswerWriting(
            self._plane, model, stages, writer, skip, reader.unit, advice, strict=strict, schema=schema
        )
        return writing, reader, writer


async def _put_back(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part


def _finisher(counts: VersionCounts, finish: Finish, began_ns: int, parsed_ns: int) -> Done[Predictions]:
    """Return a callback that writes the answer to a small request and counts the request."""

    def done(result: Predictions | Exception) -> None:
        """Finish the request with its answer or its error."""
        if isinstance(result, Exception):
            counts.count_end(outcome_of(result))
            finish(result)
            return
        encoding_ns, (computing_ns, took_ns) = time.perf_counter_ns(), result.batch.timing
        try:
            require_finite(result)
            answer = write_answer(result)
        except Exception as error:
            counts.count_end(outcome_of(error))
            finish(error)
            return
        ended_ns = time.perf_counter_ns()
        counts.count_answer((parsed_ns - began_ns, computing_ns - parsed_ns, took_ns, ended_ns - encoding_ns))
        finish(answer)

    return done
