"""Handle Open Inference Protocol inference over HTTP: headers and content types."""

from __future__ import annotations

import time

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from app.api.bodies import JSON, media_type, require_utf8
from app.errors import MalformedBody, UnsupportedContentType
from app.inference.codecs.oip import InferBody, padding
from app.inference.codecs.oip_answers import BINARY
from app.inference.codecs.oip_reader import OipReader
from app.inference.pipeline import Pipeline

JSON_BYTES = "inference-header-content-length"

_TYPES = (JSON, BINARY)
_MAX_DIGITS = 18


class InferRoute:
    """Answer `POST .../infer`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def serve(self, scope: Scope, receive: Receive, send: Send, name: str, version: int | None) -> None:
        """Answer as the route does, without FastAPI.

        Raises:
            ServingError: if the request is wrong or the model cannot answer.
        """
        response = await self.answer(Request(scope, receive, send), name, version)
        await response(scope, receive, send)

    async def answer(self, request: Request, name: str, version: int | None) -> Response:
        """Return the response to an inference request."""
        arrived_ns = time.perf_counter_ns()
        reader = OipReader(await _read(request), arrived_ns)
        writer, parts = await self._pipeline.answer_document(reader, name, version, reader.writer)
        headers = {} if writer.json_bytes is None else {JSON_BYTES: str(writer.json_bytes)}
        return Response(b"".join(filter(None, parts)), media_type=writer.content_type, headers=headers)


async def _read(request: Request) -> InferBody:
    """Read the body into writable memory, with the data after the JSON aligned, so that it need not be copied.

    Raises:
        UnsupportedContentType: also for a compressed body. A missing content type is accepted, because Triton's client
            sends none.
        MalformedBody: if the length of the JSON is not a number.
    """
    headers = request.headers
    if "content-type" in headers and (given := media_type(headers["content-type"])) not in _TYPES:
        raise UnsupportedContentType(_TYPES, given)
    if media_type(headers.get("content-type")) == JSON:
        require_utf8(headers["content-type"])
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedContentType(tuple(f"{kind} without compression" for kind in _TYPES))
    json_bytes = _json_bytes(headers.get(JSON_BYTES))
    start = padding(json_bytes)
    data = bytearray().join([bytes(start), *[part async for part in request.stream()]])
    return InferBody(data, start, json_bytes)


def _json_bytes(header: str | None) -> int | None:
    if header is None:
        return None
    if not (header.isascii() and header.isdigit() and len(header) <= _MAX_DIGITS):
        raise MalformedBody("the Inference-Header-Content-Length header must be a number of bytes")
    return int(header)
