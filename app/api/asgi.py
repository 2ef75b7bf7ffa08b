"""The outermost ASGI layer: request ids, admission, metrics and the handling of all errors.

Routes with a handler of their own are answered without FastAPI, which costs 0.4 ms a request. This layer runs for every
request before its body is read, so it does little. It must not know models or parse JSON.
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
from app.api.query import require_distinct
from app.context import CONTEXT, UNMATCHED, MemoryBudget, MemoryReservation, RequestContext
from app.errors import ClientGone
from app.inference.pipeline import Pipeline
from app.lifecycle import Lifetime
from app.security.admission import GONE, RequestAdmission, enforce_deadline
from app.security.audit.requests import Auditor
from app.security.errors import AccessDenied
from app.security.permissions import PROBES, Match, Route, Routes
from app.telemetry.in_flight import Flight
from app.telemetry.logs.requests import RequestLog
from app.telemetry.metrics import ServingMetrics
from app.telemetry.tracing import Tracing

logger = logging.getLogger(__name__)

Handler = Callable[[Scope, Receive, Send, Mapping[str, str]], Awaitable[None]]
"""Answers a request without FastAPI, given the parameters of its path."""

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_LIGHT = frozenset((*PROBES, Routes.METRICS.template))  # not traced, and passed to FastAPI at once
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
        streamed: limit of a body that is handled while it arrives.
        streamed_types: content types of bodies that are answered while they arrive.
        held: limit of all bodies and answers in memory together.
    """

    whole: int
    streamed: int
    streamed_types: frozenset[str]
    held: int

    def is_streamed(self, route: Route | None, content_type: bytes) -> bool:
        """Tell whether a body with this Content-Type header is handled while it arrives."""
        if route is None or route.streams is None:
            return False
        return route.streams == "all" or media_type(content_type.decode("latin-1")) in self.streamed_types


class Edge:
    """The outermost ASGI app, which wraps FastAPI; see the module docstring.

    The fast path (`app/server/fast_path`) uses the attributes.

    Attributes:
        pipeline: computes predictions.
        metrics: metrics of the service.
        request_ids: chooses the id of each request.
        predictions: metrics of `POST /predict/{model}`.
        limits: size limits of bodies.
        memory: budget of the memory that all requests occupy together.
        admission: admits requests.
        lifetime: state of the process: draining, stopping, device lost.
        request_log: writes a line for every request; None if switched off.
        tracing: records a span for every request; None if switched off.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        handlers: Mapping[Route, Handler],
        parameters: frozenset[str],
        pipeline: Pipeline,
        metrics: ServingMetrics,
        limits: BodyLimits,
        admission: RequestAdmission,
        prefixes: Prefixes,
        lifetime: Lifetime,
        auditor: Auditor,
        request_log: RequestLog | None,
        tracing: Tracing | None,
    ) -> None:
        self.pipeline = pipeline
        self.metrics = metrics
        self.request_ids = RequestIds()
        self.predictions = metrics.requests(Routes.PREDICT.label, Routes.PREDICT.method)
        self._app = app
        self._handlers = handlers
        self._parameters = parameters
        self.limits = limits
        self.memory = MemoryBudget(limits.held)
        self.admission = admission
        self._prefixes = None if prefixes.none else prefixes
        self.lifetime = lifetime
        self.request_log = request_log
        self.tracing = tracing
        self._auditor = auditor
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; pass other scopes (lifespan) to the app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._prefixes is not None:
            self._prefixes.apply(scope)
        headers = dict(scope["headers"])
        context = RequestContext(self.request_ids.choose(headers.get(b"x-request-id")))
        CONTEXT.set(context)
        if self.tracing is None or scope["path"] in _LIGHT:
            await self._answer(scope, receive, send, headers, context)
        else:
            with self.tracing.request(scope, context) as span:
                await self._answer(scope, receive, span.wrap_send(send), headers, context)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes], context: RequestContext
    ) -> None:
        context.memory = memory = MemoryReservation(self.memory)
        context.flight = flight = Flight(self.metrics, self.admission.max_in_flight)
        added = self.admission.cors.headers(headers)
        exchange = Exchange(context, scope["path"], send, added, flight, accept=headers.get(b"accept"))
        match = self.admission.table.match(scope["method"], scope["path"])
        handler = self._handlers.get(match.route) if match.route else None
        if match.route and handler:
            context.route = match.route.label
        started = time.perf_counter()
        flight.begin()
        try:
            if self.limits.is_streamed(match.route, headers.get(b"content-type", b"")):
                body = exchange.read(receive, headers, self.limits.streamed, None)
            else:
                body = exchange.read(receive, headers, self.limits.whole, memory)
            if preflight := self.admission.cors.preflight(scope["method"], headers):
                await exchange.answer(HTTPStatus.NO_CONTENT, b"", preflight)
                return
            route = await self._admit(scope, headers, exchange, match)
            if scope["query_string"]:
                require_distinct(scope["query_string"], self._parameters)
            async with enforce_deadline(context, headers, scope.get(GONE)):
                if handler:
                    await handler(scope, body, exchange.send, match.parameters)
                else:
                    await self._wait_turn(scope["path"], flight)
                    context.route = route.label
                    await self._app(scope, body, exchange.send)
        except (ClientDisconnect, ClientGone):
            pass  # the client disconnected; counted as 499 if no response had started
        except Exception as error:
            await exchange.fail(error)
        finally:
            flight.end()
            memory.release()
            self._count(scope, exchange, time.perf_counter() - started)

    async def _wait_turn(self, path: str, flight: Flight) -> None:
        """Wait so that FastAPI starts one request per loop iteration, and a burst does not block other work."""
        if path not in _LIGHT:
            with flight.waiting():
                async with self._turn:
                    await asyncio.sleep(0)

    async def _admit(self, scope: Scope, headers: Mapping[bytes, bytes], exchange: Exchange, match: Match) -> Route:
        """Admit a request and return its route; begin the audit entry of a route that is audited.

        Raises:
            ServingError: if the request is refused; the class is the reason.
        """
        peer = _peer(scope)
        try:
            route, caller = self.admission.admit(scope, headers, match.route)
        except AccessDenied as error:
            self._auditor.count_refusal(error.reason, peer, error.key_id)
            raise
        exchange.context.key_id = caller.key_id
        if route.action is not None:
            caller_details: dict[str, object] = {"scope": route.scope, "peer": peer}
            await exchange.begin_audit(self._auditor, route.action, match.parameters, caller_details)
        return route

    def _count(self, scope: Scope, exchange: Exchange, took_s: float) -> None:
        """Record metrics and the access log of a finished request; its audit entry is complete or is closed here."""
        if exchange.audited is not None:
            exchange.audited.abandon()
        context = exchange.context
        method = scope["method"] if scope["method"] in _METHODS else "other"
        counted = method if context.route != UNMATCHED else "other"  # one series for all requests to unknown routes
        self.metrics.requests(context.route, counted).count(exchange.status, took_s)
        if self.request_log is not None and context.route not in PROBES:
            self.request_log.log_response(
                request_id=context.id,
                method=method,
                route=context.route,
                path=scope["path"],
                status=exchange.status,
                took_s=took_s,
                sent_bytes=exchange.sent_bytes,
                key_id=context.key_id,
                peer=_peer(scope),
            )


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""
