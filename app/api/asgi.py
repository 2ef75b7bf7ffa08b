"""The outermost ASGI layer: request ids, admission, metrics and the handling of all errors.

Predictions with the active version of a model, and inference requests, go from here directly to their handlers, without
FastAPI.

Every request pays for this layer, so it does little, and before a byte of the body is read. It must not know models or
parse JSON.
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

from app.api.bodies import media_type
from app.api.exchange import Exchange
from app.api.prefix import Prefixes
from app.errors import ClientGone
from app.holding import HOLDING, Budget, Holding
from app.inference.pipeline import Pipeline
from app.lifecycle import Lifetime
from app.security.admission import Door, in_time
from app.security.audit.requests import Auditor
from app.security.errors import NotPermitted
from app.security.permissions import PROBES
from app.telemetry.in_flight import FLIGHT, Flight
from app.telemetry.logs.form import REQUEST_ID
from app.telemetry.logs.requests import RequestLog
from app.telemetry.metrics import ServingMetrics
from app.telemetry.tracing import Tracing

logger = logging.getLogger(__name__)

PREDICT_ROUTE = "/predict/{model}"
INFER_ROUTES = ("/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer")

Predict = Callable[[Scope, Receive, Send, str], Awaitable[None]]
Infer = Callable[[Scope, Receive, Send, str, int | None], Awaitable[None]]

_PREDICT = re.compile(r"/predict/([^/]+)")
_INFER = re.compile(r"/v2/models/([^/]+)(?:/versions/([1-9][0-9]{0,8}))?/infer")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_STREAMING = ("/predict", "/datasets/")  # prefixes of all routes that read bodies while they arrive
_LIGHT = frozenset((*PROBES, "/metrics"))  # these are not traced and do not wait their turn
_CLIENT_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """Choose an id for every request: the client's own if it is harmless, else a new one."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(4)
        self._counter = itertools.count(1)

    def choose(self, given: bytes | None) -> str:
        """Return the id of a request; new ids are unique across processes, and not secret."""
        if given is not None and _CLIENT_REQUEST_ID.fullmatch(given):
            return given.decode()
        return f"{self._process}{next(self._counter):08x}"


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Size limits of request bodies, in bytes.

    Attributes:
        whole: limit of a body that is held in memory.
        streamed: limit of a body that is answered while it arrives.
        streamed_types: content types of streamed bodies.
        held: limit of all bodies and answers in memory together.
    """

    whole: int
    streamed: int
    streamed_types: frozenset[str]
    held: int

    def is_streamed(self, path: str, content_type: bytes) -> bool:
        """Tell whether a body with this Content-Type header is answered while it arrives."""
        return path.startswith(_STREAMING) and media_type(content_type.decode("latin-1")) in self.streamed_types


class Edge:
    """The outermost ASGI app, which wraps FastAPI; see the module docstring.

    The attributes are public for a server that answers predictions without ASGI (`app/server/fast_path/protocol.py`).

    Attributes:
        pipeline: computes predictions.
        metrics: metrics of the service.
        request_ids: chooses the id of each request.
        predictions: metrics of `POST /predict/{model}`.
        limits: size limits of bodies.
        held: budget of the memory that all requests hold together.
        door: admits every request.
        lifetime: state of the process: draining, stopping, device lost.
        request_log: writes a line for every request; None if switched off.
        tracing: records a span for every request; None if switched off.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        predict: Predict,
        infer: Infer,
        pipeline: Pipeline,
        metrics: ServingMetrics,
        route_templates: Mapping[object, str],
        limits: BodyLimits,
        door: Door,
        prefixes: Prefixes,
        lifetime: Lifetime,
        auditor: Auditor,
        request_log: RequestLog | None,
        tracing: Tracing | None,
    ) -> None:
        self.pipeline = pipeline
        self.metrics = metrics
        self.request_ids = RequestIds()
        self.predictions = metrics.requests(PREDICT_ROUTE, "POST")
        self._app = app
        self._predict = predict
        self._infer = infer
        self._route_templates = route_templates
        self.limits = limits
        self.held = Budget(limits.held)
        self.door = door
        self._prefixes = None if prefixes.none else prefixes
        self.lifetime = lifetime
        self.request_log = request_log
        self.tracing = tracing
        self._auditor = auditor
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other scopes (lifespan) go straight to the app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._prefixes is not None:
            self._prefixes.place(scope)
        if self.tracing is None or scope["path"] in _LIGHT:
            await self._answer(scope, receive, send)
        else:
            with self.tracing.request(scope) as span:
                await self._answer(scope, receive, span.sending(send))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        request_id = self.request_ids.choose(headers.get(b"x-request-id"))
        FLIGHT.set(flight := Flight(self.metrics, self.door.max_in_flight))
        exchange = Exchange(request_id, scope["path"], send, self.door.cors.headers(headers), flight)
        scope["tabserve.request_id"] = exchange.request_id
        REQUEST_ID.set(request_id)
        name = _PREDICT.fullmatch(scope["path"]) if scope["method"] == "POST" else None
        asked = _INFER.fullmatch(scope["path"]) if scope["method"] == "POST" and not name else None
        started = time.perf_counter()
        flight.begin()
        HOLDING.set(holding := Holding(self.held))
        try:
            if self.limits.is_streamed(scope["path"], headers.get(b"content-type", b"")):
                body = exchange.read(receive, headers, self.limits.streamed, None)
            else:
                body = exchange.read(receive, headers, self.limits.whole, holding)
            if preflight := self.door.cors.preflight(scope["method"], headers):
                await exchange.answer(HTTPStatus.NO_CONTENT, b"", preflight)
                return
            await self._admit(scope, headers, exchange)
            async with in_time(headers, scope.get("tabserve.gone")):
                if name:
                    await self._predict(scope, body, exchange.send, name[1])
                elif asked:
                    await self._infer(scope, body, exchange.send, asked[1], int(asked[2]) if asked[2] else None)
                else:
                    await self._routed(scope, body, exchange.send, flight)
        except (ClientDisconnect, ClientGone):
            pass  # the client disconnected; counted as 499 if no response had started
        except Exception as error:
            await exchange.fail(error)
        finally:
            flight.end()
            holding.give_back()
            route = PREDICT_ROUTE if name else INFER_ROUTES[asked[2] is not None] if asked else None
            self._count(scope, exchange, route, time.perf_counter() - started)

    async def _routed(self, scope: Scope, receive: Receive, send: Send, flight: Flight) -> None:
        """Let FastAPI answer; one request starts per loop iteration, so that a burst does not block other work."""
        if scope["path"] not in _LIGHT:
            with flight.waiting():
                async with self._turn:
                    await asyncio.sleep(0)
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope, headers: Mapping[bytes, bytes], exchange: Exchange) -> None:
        """Admit a request, and write an audit entry if it is to change something.

        Raises:
            ServingError: with the reason of a refusal.
        """
        peer = _peer(scope)
        try:
            route, caller = self.door.admit(scope, headers)
        except NotPermitted as error:
            self._auditor.refused(error.reason, peer, error.key_id)
            raise
        exchange.key_id = caller.key_id
        if route.action is not None:
            asks: dict[str, object] = {"scope": route.scope, "peer": peer}
            await exchange.put_on_record(self._auditor, route.action, route.parameters(scope["path"]), asks)

    def _count(self, scope: Scope, exchange: Exchange, route: str | None, took_s: float) -> None:
        """Record metrics and the access log of a finished request; its audit entry is complete or is closed here."""
        if exchange.audited is not None:
            exchange.audited.abandon()
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = route or self._route_templates.get(scope.get("endpoint"), "unmatched")
        scope["tabserve.route"] = route
        counted = method if route != "unmatched" else "other"  # one series for all requests to unknown routes
        self.metrics.requests(route, counted).count(exchange.status, took_s)
        if self.request_log is not None and route not in PROBES:
            self.request_log.answered(
                request_id=exchange.request_id,
                method=method,
                route=route,
                path=scope["path"],
                status=exchange.status,
                took_s=took_s,
                sent_bytes=exchange.sent_bytes,
                key_id=exchange.key_id,
                peer=_peer(scope),
            )


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""
