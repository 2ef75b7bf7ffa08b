"""Answer JSON prediction requests, from bytes to bytes.

This serves both the routes and the fast path from the socket. It must not know HTTP or the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from app.errors import TooManyRows
from app.holding import hold
from app.inference.batcher import Done, Entry
from app.inference.codecs import json as json_codec
from app.inference.codecs.json_answers import write_answer
from app.inference.dataplane import MAX_BATCH_ROWS, DataPlane, require_finite
from app.inference.offload import OffloadThread
from app.inference.predictions import BatchClassification, Predictions
from app.inference.target import agree_on, require_name, resolve_version
from app.patience import require_wanted
from app.runtime.load import LoadedModel
from app.schema import Contract, Float32
from app.telemetry.stage_timer import Stages, outcome_of
from app.telemetry.version_counters import VersionCounts

REHEARSALS = 5

Finish = Callable[[bytes | Exception], None]


class WholeWriter(Protocol):
    """A writer for answers whose rows are all known to be valid before the first is sent."""

    def head(self) -> bytes:
        """Return the bytes before the first row."""
        ...

    def rows(self, predictions: Predictions) -> bytes:
        """Return the rows of an answer."""
        ...

    def tail(self) -> bytes:
        """Return the bytes after the last row."""
        ...


MakeWriter = Callable[[Contract], WholeWriter]


class Predictor:
    """Answer JSON predictions, for every route that needs them and for the fast path from the socket."""

    def __init__(self, plane: DataPlane, offload: OffloadThread, max_rows: int) -> None:
        """Create the handler.

        Args:
            plane: computes the answers.
            offload: reads large bodies that cannot be read in steps.
            max_rows: largest number of rows in a request.
        """
        self._plane = plane
        self._offload = offload
        self._max_rows = max_rows
        self._max_soon_rows = min(max_rows, MAX_BATCH_ROWS)

    async def answer(self, body: bytes, name: str | None, version: int | None, write: MakeWriter) -> list[bytes]:
        """Return the answer to a JSON request, in parts.

        Args:
            body: the request's body.
            name: model named by the path, if any; if the body names one too, they must agree.
            version: version named by the path, if any; likewise.
            write: creates the writer of the answer.

        Raises:
            ServingError: for any error of the request or the model.
        """
        with self._plane.stages(name if version is None else None) as stages:
            if len(body) > json_codec.BLOCK_BYTES and name is not None:
                model = await resolve_version(self._plane, stages, name, version)
                with contextlib.suppress(json_codec.Unusual):
                    in_blocks = await self._read_in_blocks(stages, body, model.contract)
                    return await self._written_in_blocks(stages, model, in_blocks, write)
            async with self._offload.turn(len(body)):
                model, x = await self._read_whole(stages, body, name, version)
            blocks = (x[start : start + MAX_BATCH_ROWS] for start in range(0, len(x), MAX_BATCH_ROWS))
            return await self._written_in_blocks(stages, model, blocks, write)

    async def _read_whole(
        self, stages: Stages, body: bytes, name: str | None, version: int | None
    ) -> tuple[LoadedModel, Float32]:
        """Return the version that answers, and the rows; all other parsed data is released."""
        request = await self._offload.run(len(body), self._request, body)
        wanted = require_name(agree_on("model", name, request.model))
        stages.parsed()
        model = await resolve_version(self._plane, stages, wanted, agree_on("version", version, request.version))
        x = await self._offload.run(len(body), json_codec.read_rows, request, model.contract)
        stages.parsed()
        return model, x

    def _request(self, body: bytes) -> json_codec.PredictRequest:
        request = json_codec.read_request(body)
        if len(request.instances) > self._max_rows:
            raise TooManyRows(self._max_rows)
        return request

    def rehearse(self, model: LoadedModel) -> None:
        """Answer a typical request and drop the answer, so that no client pays for first-call costs."""
        body = json_codec.example_body(model.manifest.golden.features[:1])
        for _ in range(REHEARSALS):
            x = json_codec.read_rows(json_codec.read_request(body), model.contract)
            write_answer(Predictions(BatchClassification(model.contract, x, model.infer(x)), 0, len(x)))

    async def _written_in_blocks(
        self, stages: Stages, model: LoadedModel, blocks: Iterable[Float32], write: MakeWriter
    ) -> list[bytes]:
        writer = write(model.contract)
        parts, rows = [writer.head()], 0
        for x in blocks:
            predictions = await self._plane.infer(model, x)
            stages.computed(*predictions.batch.timing)
            require_finite(predictions, first=rows)
            rows += predictions.rows
            parts.append(writer.rows(predictions))
            hold(len(parts[-1]))
            stages.encoded()
        parts.append(writer.tail())
        return parts

    async def _read_in_blocks(self, stages: Stages, body: bytes, contract: Contract) -> list[Float32]:
        """Return the rows of a large JSON request; all are read before any is answered, as the last may be unusual.

        Raises:
            Unusual: if the body must be read by another reader.
            TooManyRows.
        """
        blocks, rows = [], 0
        for x in json_codec.row_blocks(body, contract):
            blocks.append(x)
            if (rows := rows + len(x)) > self._max_rows:
                raise TooManyRows(self._max_rows)
            stages.parsed()
            await asyncio.sleep(0)  # other requests get their turn
            stages.resume()
            require_wanted()
        return blocks

    def answer_soon(self, body: bytes, name: str, finish: Finish, *, alone: bool) -> Entry[Float32, Predictions] | None:
        """Answer a small JSON request to the active version of a model without a task or a future.

        Args:
            body: the request's body; its content type has been checked.
            name: model named by the path.
            finish: called once with the JSON or the exception, immediately or at the end of the event loop's turn.
            alone: no other request can arrive in this turn.

        Returns:
            The queued entry, for cancelling; None if the request names a version or has many rows and so needs
            `answer` instead.

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
            x = json_codec.read_rows(request, model.contract)
            parsed_ns = time.perf_counter_ns()
            done = _finisher(self._plane.counts(model), finish, began_ns, parsed_ns)
            return self._plane.submit(model, x, done, alone=alone)
        except Exception as error:
            if (counts := self._plane.refused(name)) is not None:
                counts.ended(outcome_of(error))
            raise


def _finisher(counts: VersionCounts, finish: Finish, began_ns: int, parsed_ns: int) -> Done[Predictions]:
    """Return a callback that writes the answer to a small request and counts the request."""

    def done(result: Predictions | Exception) -> None:
        if isinstance(result, Exception):
            counts.ended(outcome_of(result))
            finish(result)
            return
        begun_ns, (computing_ns, took_ns) = time.perf_counter_ns(), result.batch.timing
        try:
            require_finite(result)
            answer = write_answer(result)
        except Exception as error:
            counts.ended(outcome_of(error))
            finish(error)
            return
        ended_ns = time.perf_counter_ns()
        counts.answered((parsed_ns - began_ns, computing_ns - parsed_ns, took_ns, ended_ns - begun_ns))
        finish(answer)

    return done
