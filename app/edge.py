"""The outermost layer, plain ASGI: request id, body limit, count, and the last word on errors; no model, no JSON.

Predictions with the active version of a model go from here to their answer, past FastAPI.

Everything here is paid by every request, so it does little, and before a byte of the body is read.
"""

from __future__ import annotations

import itertools
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.bodies import media_type
from app.api.errors import CLIENT_CLOSED, problem_answer
from app.bulk import BrokenOff
from app.errors import BodyTooLarge, MalformedBody
from app.metrics import ServingMetrics
from app.predictor import Predictor

logger = logging.getLogger(__name__)

COMMON_HEADERS = ((b"x-content-type-options", b"nosniff"),)

PREDICT_ROUTE = "/predict/{model}"

Predict = Callable[[Scope, Receive, Send, str], Awaitable[None]]

_PREDICT = re.compile(r"/predict/([^/]+)")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_CLIENT_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_MAX_LENGTH_DIGITS = 18


class RequestIds:
    """Gives every request an id: the client's own if it is harmless, else a new one."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(4)
        self._counter = itertools.count(1)

    def choose(self, given: bytes | None) -> str:
        """Return the id; new ones are unique over processes, and no secret."""
        if given is not None and _CLIENT_REQUEST_ID.fullmatch(given):
            return given.decode()
        return f"{self._process}{next(self._counter):08x}"


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How many bytes a body may have.

    Attributes:
        whole: of bodies that are held in memory.
        streamed: of bodies that are answered while they arrive.
        streamed_types: the content types of the latter.
    """

    whole: int
    streamed: int
    streamed_types: frozenset[str]

    def for_type(self, content_type: bytes) -> int:
        """Return the limit for a body of this Content-Type header."""
        streamed = media_type(content_type.decode("latin-1")) in self.streamed_types
        return self.streamed if streamed else self.whole


class Edge:
    """Wraps the app; see the module.

    Attributes:
        predictor: for a server that can answer predictions without ASGI (`app/wire.py`).
        metrics: likewise.
        request_ids: likewise.
        predictions: likewise, the counts of `POST /predict/{model}`.
        limits: likewise.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        predict: Predict,
        predictor: Predictor,
        metrics: ServingMetrics,
        route_templates: Mapping[object, str],
        limits: BodyLimits,
    ) -> None:
        self.predictor = predictor
        self.metrics = metrics
        self.request_ids = RequestIds()
        self.predictions = metrics.requests(PREDICT_ROUTE, "POST")
        self._app = app
        self._predict = predict
        self._route_templates = route_templates
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other kinds of connection go straight to the app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        exchange = _Exchange(self.request_ids.choose(headers.get(b"x-request-id")), send)
        scope["tabserve.request_id"] = exchange.request_id
        name = _PREDICT.fullmatch(scope["path"]) if scope["method"] == "POST" else None
        started = time.perf_counter()
        self.metrics.in_progress += 1
        try:
            limit = self.limits.for_type(headers.get(b"content-type", b""))
            limited = _limited(receive, headers.get(b"content-length"), limit)
            if name:
                await self._predict(scope, limited, exchange.send, name[1])
            else:
                await self._app(scope, limited, exchange.send)
        except ClientDisconnect:
            pass  # nobody is left to be answered; counted as 499 if no answer had begun
        except Exception as error:
            await exchange.fail(error)
        finally:
            self.metrics.in_progress -= 1
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = PREDICT_ROUTE if name else self._route_templates.get(scope.get("endpoint"), "unmatched")
            self.metrics.requests(route, method).count(exchange.status, time.perf_counter() - started)


class _Exchange:
    """One request's answer: adds the id and keeps the status."""

    def __init__(self, request_id: str, send: Send) -> None:
        self.request_id = request_id
        self.status = CLIENT_CLOSED  # until an answer starts: the client went away first
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            request_id = (b"x-request-id", self.request_id.encode())
            message["headers"] = [*message.get("headers", ()), request_id, *COMMON_HEADERS]
        await self._send(message)

    async def fail(self, error: Exception) -> None:
        started = self.status != CLIENT_CLOSED
        if isinstance(error, BrokenOff):
            logger.warning("request %s was broken off: %s", self.request_id, error)
            return
        status, body, headers = problem_answer(error, self.request_id)
        if status is HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error("request %s failed", self.request_id, exc_info=error)
        if not started:
            headers.append((b"content-length", b"%d" % len(body)))
            await self.send({"type": "http.response.start", "status": status.value, "headers": headers})
            await self.send({"type": "http.response.body", "body": body})


def _limited(receive: Receive, declared: bytes | None, limit_bytes: int) -> Receive:
    """Return a `receive` that counts; a client that declares too much is refused before its first byte is read."""
    left = limit_bytes
    if declared is not None and not declared.isdigit():
        raise MalformedBody("the Content-Length header must be a number of bytes")
    too_much = declared is not None and (len(declared) > _MAX_LENGTH_DIGITS or int(declared) > limit_bytes)

    async def counted() -> Message:
        nonlocal left
        if too_much:
            raise BodyTooLarge(limit_bytes)
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise BodyTooLarge(limit_bytes)
        return message

    return counted
