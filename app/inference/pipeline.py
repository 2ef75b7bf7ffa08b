"""Answer prediction requests of every format, from bytes to bytes.

Each request takes the same steps: resolve the version, read rows, compute, refuse bad rows, write. This module must not
know HTTP or the store.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeVar

from app.inference.additions.added import AddedOutputs
from app.inference.additions.choice import Shared, choose_additions, outputs_of
from app.inference.batcher import Done, Entry
from app.inference.codecs import json as json_codec
from app.inference.codecs.blocks import BlockReader, BlockWriter, DocumentReader, Writer
from app.inference.codecs.formats import BulkOptions, MakeWriter
from app.inference.codecs.json_answers import write_answer
from app.inference.codecs.row_ids import give_ids
from app.inference.dataplane import MAX_BATCH_ROWS, DataPlane
from app.inference.decision import apply_override
from app.inference.offload import OffloadThread
from app.inference.predictions import Predictions
from app.inference.reading import DocumentReading, read_stream
from app.inference.target import agree_on, require_name, resolve_version
from app.inference.writing import AnswerWriting, stream_answer
from app.schema import Float32, ModelSchema
from app.telemetry.stage_timer import outcome_of
from app.telemetry.version_counters import VersionCounts

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
    writer: MakeWriter
    options: BulkOptions


class Pipeline:
    """Answer predictions, for every route that needs them and for the fast path from the socket."""

    def __init__(self, plane: DataPlane, offload: OffloadThread, shared: Shared, max_rows: int) -> None:
        """Create it; `offload` reads large documents that cannot be read in steps, of at most `max_rows` rows."""
        self._plane = plane
        self._shared = shared
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
            The queued entry, for cancelling; None if the request names a version, asks for more than predictions or has
            many rows, or the version may abstain or gives receipts, and so `answer_document` is needed instead.

        Raises:
            ServingError: for any error of the request or the model.
        """
        began_ns, plane = time.perf_counter_ns(), self._plane
        try:
            request = json_codec.read_request(body)
            if request.version is not None or request.options or len(request.instances) > self._max_soon_rows:
                return None
            if request.model is not None:
                agree_on("model", name, request.model)
            model = plane.active(name)
            schema = model.schema
            if schema.abstain is not None or schema.receipts:
                return None
            x = json_codec.read_rows(request, schema)
            parsed_ns = time.perf_counter_ns()
            done = _make_callback(plane.counts(model), finish, began_ns, parsed_ns)
            return plane.submit(model, x, done, alone=alone)
        except Exception as error:
            if (counts := self._plane.counts_of_refused(name)) is not None:
                counts.count_end(outcome_of(error))
            raise

    async def answer_document(
        self,
        reader: DocumentReader,
        name: str | None,
        version: int | None,
        make_writer: Callable[[ModelSchema, AddedOutputs], W],
    ) -> tuple[W, list[bytes]]:
        """Return the writer of the answer to a document, and the answer in parts.

        Name and version are those of the path, if any; if the document names them too, they must agree. `make_writer`
        is called after the document was read.

        Raises:
            ServingError: for any error of the request or the model.
        """
        with self._plane.stages(name if version is None else None) as stages:
            model, blocks = await self._documents.read(stages, reader, name, version)
            options, deadline_ns = reader.options, reader.deadline_ns
            if options.ids is not None:
                give_ids(blocks, options.ids)
            schema = apply_override(model.schema, options.override, options.prefix)
            additions = choose_additions(
                self._shared, model, schema, options, counts=self._plane.counts(model), deadline_ns=deadline_ns
            )
            writer = make_writer(schema, outputs_of(additions))
            writing = AnswerWriting(
                self._plane,
                model,
                stages,
                writer,
                deadline_ns=deadline_ns,
                strict=schema.strict if options.strict is None else options.strict,
                schema=schema,
                additions=additions,
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
        return writer.content_type, _prepend(await anext(parts), parts)

    async def _prepare(self, request: BulkRequest) -> tuple[AnswerWriting, BlockReader, BlockWriter]:
        """Resolve the version of a bulk request and create its reader and writer."""
        name = require_name(request.name)
        stages = self._plane.stages(name if request.version is None else None)
        model = await resolve_version(self._plane, stages, name, request.version)
        options = request.options.asked
        schema = apply_override(model.schema, options.override, options.prefix)
        additions = choose_additions(self._shared, model, schema, options, counts=self._plane.counts(model))
        reader = request.reader(schema, request.options)
        writer = request.writer(schema, request.options, outputs_of(additions))
        writing = AnswerWriting(
            self._plane,
            model,
            stages,
            writer,
            skip=writer if request.options.skip else None,
            unit=reader.unit,
            advice=f". {model.schema.expectation}",
            strict=schema.strict if options.strict is None else options.strict,
            schema=schema,
            additions=additions,
        )
        return writing, reader, writer


async def _prepend(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part


def _make_callback(counts: VersionCounts, finish: Finish, began_ns: int, parsed_ns: int) -> Done[Predictions]:
    """Return a callback that writes the answer to a small request and counts the request."""

    def done(result: Predictions | Exception) -> None:
        """Finish the request with its answer or its error."""
        if isinstance(result, Exception):
            counts.count_end(outcome_of(result))
            finish(result)
            return
        encoding_ns, (computing_ns, took_ns) = time.perf_counter_ns(), result.batch.timing
        try:
            answer = write_answer(result)
        except Exception as error:
            counts.count_end(outcome_of(error))
            finish(error)
            return
        ended_ns = time.perf_counter_ns()
        counts.count_answer((parsed_ns - began_ns, computing_ns - parsed_ns, took_ns, ended_ns - encoding_ns))
        finish(answer)

    return done
