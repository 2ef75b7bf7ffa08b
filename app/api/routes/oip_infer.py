"""Handle Open Inference Protocol inference over HTTP: headers and content types."""

from __future__ import annotations

import time
from collections.abc import Mapping

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope, Send

from app.api.bodies import JSON, media_type, require_utf8
from app.api.errors import UnsupportedContentType
from app.api.parameters import Version
from app.api.preferences import wants_receipts
from app.api.validation_errors import make_invalid_input
from app.errors import MalformedBody, wrong_field
from app.inference.codecs.oip import InferBody, padding
from app.inference.codecs.oip_answers import BINARY
from app.inference.codecs.oip_reader import OipReader
from app.inference.pipeline import Pipeline

JSON_BYTES = "inference-header-content-length"

_TYPES = (JSON, BINARY)
_MAX_DIGITS = 18


class InferPath(BaseModel):
    """Path parameters of an inference request; without a version, the active one answers."""

    model: str
    version: Version | None = None


class InferRoute:
    """Answer `POST .../infer`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def serve(self, scope: Scope, receive: Receive, send: Send, parameters: Mapping[str, str]) -> None:
        """Answer an inference request.

        Raises:
            ServingError: if the request is wrong or the model cannot answer.
        """
        arrived_ns = time.perf_counter_ns()
        try:
            path = InferPath.model_validate(parameters)
        except ValidationError as error:
            raise make_invalid_input(error.errors(include_url=False), InferPath, parameters) from error
        request = Request(scope, receive, send)
        reader = OipReader(
            await _read(request),
            arrived_ns,
            strict=_is_strict(request.query_params.get("strict")),
            receipt=wants_receipts(request),
        )
        writer, parts = await self._pipeline.answer_document(reader, path.model, path.version, reader.writer)
        headers = {} if writer.json_bytes is None else {JSON_BYTES: str(writer.json_bytes)}
        response = Response(b"".join(filter(None, parts)), media_type=writer.content_type, headers=headers)
        await response(scope, receive, send)


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


def _is_strict(given: str | None) -> bool | None:
    """Read the query parameter `strict`; unknown parameters are ignored, as by other servers of the protocol."""
    if given not in (None, "true", "false"):
        raise wrong_field("strict", "must be true or false")
    return None if given is None else given == "true"


def _json_bytes(header: str | None) -> int | None:
    if header is None:
        return None
    if not (header.isascii() and header.isdigit() and len(header) <= _MAX_DIGITS):
        raise MalformedBody("the Inference-Header-Content-Length header must be a number of bytes")
    return int(header)
