"""From the bytes of a prediction request to those of its answer, whichever way the request came; no HTTP, no store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from app.batching import Entry
from app.bulk import Bulk
from app.codecs import json as json_codec
from app.codecs.blocks import Reader, Writer
from app.codecs.formats import BulkOptions
from app.codecs.json_answers import write_answer
from app.contract import Contract, Float32
from app.dataplane import MAX_BATCH_ROWS, DataPlane, require_finite
from app.errors import InvalidInput, Problem
from app.runtime import LoadedModel
from app.scores import Answer, Scores

REHEARSALS = 5

Named = TypeVar("Named", str, int)
Finish = Callable[[bytes | Exception], None]


class WholeWriter(Protocol):
    """What is needed of a writer when all rows are known to be good before the first is sent."""

    def head(self) -> bytes:
        """Return what comes before all rows."""
        ...

    def rows(self, answer: Answer) -> bytes:
        """Return the rows of an answer."""
        ...

    def tail(self) -> bytes:
        """Return what comes after all rows."""
        ...


MakeWriter = Callable[[Contract], WholeWriter]


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """A request whose body is answered while it arrives."""

    name: str | None
    version: int | None
    reader: Callable[[Contract, BulkOptions], Reader]
    writer: Callable[[Contract, BulkOptions], Writer]
    options: BulkOptions


class Predictor:
    """Answers predictions for every route that asks for one."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    async def answer(self, body: bytes, name: str | None, version: int | None, write: MakeWriter) -> list[bytes]:
        """Return the answer to a JSON request, in parts.

        Args:
            body: the request's body.
            name: model named by the path, if any; the body may name it too, but not another.
            version: version named by the path, if any; likewise.
            write: makes the writer of the answer.

        Raises:
            ServingError: whatever is wrong with request or model.
        """
        if len(body) > json_codec.BLOCK_BYTES and name is not None:
            model = await self._plane.resolve(name, version)
            with contextlib.suppress(json_codec.Unusual):
                return await self._written_in_blocks(model, await _read_in_blocks(body, model.contract), write)
        request = json_codec.read_request(body)
        wanted = _required(_agreed("model", name, request.model))
        model = await self._plane.resolve(wanted, _agreed("version", version, request.version))
        return await self._written_in_blocks(model, [json_codec.read_rows(request, model.contract)], write)

    def rehearse(self, model: LoadedModel) -> None:
        """Answer an ordinary request and drop the answer, so that no client pays for what is done the first time."""
        body = json_codec.example_body(model.manifest.golden.features[:1])
        for _ in range(REHEARSALS):
            x = json_codec.read_rows(json_codec.read_request(body), model.contract)
            write_answer(Answer(Scores(model.contract, x, model.infer(x)), 0, len(x)))

    async def stream(self, asked: BulkRequest, body: AsyncIterator[bytes]) -> tuple[str, AsyncIterator[bytes]]:
        """Return content type and parts of the answer to a body that is answered while it arrives.

        Raises:
            ServingError: whatever is wrong with request or model before the first part.
        """
        bulk = await self._bulk(asked)
        parts = bulk.streamed(body)
        return bulk.writer.content_type, self._begun(await anext(parts), parts)

    async def whole(self, asked: BulkRequest, body: AsyncIterator[bytes]) -> tuple[str, list[bytes]]:
        """Return content type and parts of the answer to a body that is answered when all of it is found good.

        Raises:
            ServingError: whatever is wrong with request or model.
        """
        bulk = await self._bulk(asked)
        return bulk.writer.content_type, await bulk.whole(body)

    async def _bulk(self, asked: BulkRequest) -> Bulk:
        model = await self._plane.resolve(_required(asked.name), asked.version)
        reader = asked.reader(model.contract, asked.options)
        return Bulk(self._plane, model, reader, asked.writer(model.contract, asked.options), asked.options.skip)

    async def _begun(self, first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        yield first
        async for part in rest:
            yield part

    async def _written_in_blocks(self, model: LoadedModel, blocks: Iterable[Float32], write: MakeWriter) -> list[bytes]:
        writer = write(model.contract)
        parts, rows = [writer.head()], 0
        for x in blocks:
            answer = await self._plane.infer(model, x)
            require_finite(answer, first=rows)
            rows += answer.rows
            parts.append(writer.rows(answer))
        parts.append(writer.tail())
        return parts

    def answer_soon(self, body: bytes, name: str, finish: Finish, *, alone: bool) -> Entry[Float32, Answer] | None:
        """Answer a small JSON request to the active version of a model without a task or a future.

        Args:
            body: the request's body, its content type checked.
            name: model named by the path.
            finish: called once with the JSON or with what went wrong, now or at the end of the loop's turn.
            alone: no other request can be there.

        Returns:
            The entry that waits for its batch, to cancel it; None if this request needs `answer` instead, because it
            names a version or has many rows.

        Raises:
            ServingError: whatever is wrong with request or model.
        """
        request = json_codec.read_request(body)
        if request.version is not None or len(request.instances) > MAX_BATCH_ROWS:
            return None
        if request.model is not None:
            _agreed("model", name, request.model)
        model = self._plane.active(name)
        x = json_codec.read_rows(request, model.contract)

        def done(result: Answer | Exception) -> None:
            if isinstance(result, Exception):
                finish(result)
                return
            try:
                require_finite(result)
                answer = write_answer(result)
            except Exception as error:
                finish(error)
            else:
                finish(answer)

        return self._plane.submit(model, x, done, alone=alone)


async def _read_in_blocks(body: bytes, contract: Contract) -> list[Float32]:
    """Return the rows of a large JSON request; all are read before one is answered, since the last may be unusual.

    Raises:
        Unusual: if another reader has to read it.
    """
    blocks = []
    for x in json_codec.row_blocks(body, contract):
        blocks.append(x)
        await asyncio.sleep(0)  # other requests get their turn
    return blocks


def _agreed(field: str, in_path: Named | None, in_body: Named | None) -> Named | None:
    """Return what path or body say; both may, if they say the same."""
    if in_path is None or in_body is None or in_path == in_body:
        return in_path if in_path is not None else in_body
    problem = "path and body name different ones; say it in one place"
    raise InvalidInput(f"{field}: {problem}", (Problem(None, field, problem),))


def _required(name: str | None) -> str:
    if name is None:
        problem = 'must be named, in the path (POST /predict/{model}) or in the body ("model": "...")'
        raise InvalidInput(f"the model {problem}", (Problem(None, "model", problem),))
    return name
