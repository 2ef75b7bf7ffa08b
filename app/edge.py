"""The outermost layer, plain ASGI: request id, who may come in, count, and the last word on errors; no model, no JSON.

Predictions with the active version of a model, and inference, go from here to their answer, past FastAPI.

Everything here is paid by every request, so it does little, and before a byte of the body is read.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access.door import Door, in_time
from app.api.bodies import media_type
from app.errors import ClientGone
from app.exchange import Exchange
from app.metrics import ServingMetrics
from app.predictor import Predictor

logger = logging.getLogger(__name__)

PREDICT_ROUTE = "/predict/{model}"
INFER_ROUTES = ("/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer")

Predict = Callable[[Scope, Receive, Send, str], Awaitable[None]]
Infer = Callable[[Scope, Receive, Send, str, int | None], Awaitable[None]]

_PREDICT = re.compile(r"/predict/([^/]+)")
_INFER = re.compile(r"/v2/models/([^/]+)(?:/versions/([0-9]{1,9}))?/infer")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_CLIENT_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


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
        door: likewise; every request comes in through it.
        stopping: set when the server begins to shut down, for answers that would wait for something to happen.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        predict: Predict,
        infer: Infer,
        predictor: Predictor,
        metrics: ServingMetrics,
        route_templates: Mapping[object, str],
        limits: BodyLimits,
        door: Door,
        stopping: asyncio.Event,
    ) -> None:
        self.predictor = predictor
        self.metrics = metrics
        self.request_ids = RequestIds()
        self.predictions = metrics.requests(PREDICT_ROUTE, "POST")
        self._app = app
        self._predict = predict
        self._infer = infer
        self._route_templates = route_templates
        self.limits = limits
        self.door = door
        self.stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other kinds of connection go straight to the app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = self.request_ids.choose(headers.get(b"x-request-id"))
        exchange = Exchange(request_id, scope["path"], send, self.door.cors.headers(headers))
        scope["tabserve.request_id"] = exchange.request_id
        name = _PREDICT.fullmatch(scope["path"]) if scope["method"] == "POST" else None
        asked = _INFER.fullmatch(scope["path"]) if scope["method"] == "POST" and not name else None
        started = time.perf_counter()
        self.metrics.in_progress += 1
        try:
            body = exchange.read(receive, headers, self.limits.for_type(headers.get(b"content-type", b"")))
            if preflight := self.door.cors.preflight(scope["method"], headers):
                await exchange.answer(HTTPStatus.NO_CONTENT, b"", preflight)
                return
            self.door.admit(scope, headers)
            async with in_time(headers, scope.get("tabserve.gone")):
                if name:
                    await self._predict(scope, body, exchange.send, name[1])
                elif asked:
                    await self._infer(scope, body, exchange.send, asked[1], int(asked[2]) if asked[2] else None)
                else:
                    await self._app(scope, body, exchange.send)
        except (ClientDisconnect, ClientGone):
            pass  # nobody is left to be answered; counted as 499 if no answer had begun
        except Exception as error:
            await exchange.fail(error)
        finally:
            self.metrics.in_progress -= 1
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = PREDICT_ROUTE if name else INFER_ROUTES[asked[2] is not None] if asked else None
            route = route or self._route_templates.get(scope.get("endpoint"), "unmatched")
            self.metrics.requests(route, method).count(exchange.status, time.perf_counter() - started)
