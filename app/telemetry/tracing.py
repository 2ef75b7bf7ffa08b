"""Create trace spans for each request, with its stages, and for each training.

W3C trace context is read from requests and returned in responses. Tracing is off unless a collector is configured. This
module must not know models or where spans are sent.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.context import RequestContext
from app.telemetry.otlp import SpanSender, is_wanted
from app.telemetry.stage_timer import Stages
from app.telemetry.version_counters import STAGES

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
MAX_PATH = 256
FIRST_SERVER_ERROR = 500

_PROPAGATOR = TraceContextTextMapPropagator()


def create_tracing(environment: Mapping[str, str]) -> Tracing | None:
    """Return a tracer, or None if the environment names no collector.

    Raises:
        ConfigurationError: if tracing is requested but not possible.
    """
    return Tracing(SpanSender()) if is_wanted(environment) else None


class Tracing:
    """Create the spans of one process."""

    def __init__(self, sender: SpanSender) -> None:
        self._sender = sender
        self._tracer: trace.Tracer = trace.NoOpTracer()

    def open(self, environment: Mapping[str, str]) -> None:
        """Start sending spans."""
        self._tracer = self._sender.open(environment)

    async def close(self) -> None:
        """Send the remaining spans."""
        await self._sender.close()

    def request(self, scope: Mapping[str, Any], context: RequestContext) -> RequestSpan:
        """Return the span of a new request, a context manager to enter while the request is handled.

        After the response, the context has the route and the stages.
        """
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        path = scope["path"][:MAX_PATH]
        attributes = {"http.request.method": method, "url.scheme": scope["scheme"], "url.path": path}
        span = self._tracer.start_span(method, _parent(scope), trace.SpanKind.SERVER, attributes)
        return RequestSpan(self._tracer, span, context, method)

    def record_training(self, ran_s: float, **details: str) -> None:
        """Create the span of a training that ended now, with its details as attributes."""
        now_ns = time.time_ns()
        began_ns = now_ns - int(ran_s * 1e9)
        attributes = {f"tabserve.{name}": value for name, value in details.items()}
        span = self._tracer.start_span("training", Context(), attributes=attributes, start_time=began_ns)
        span.end(now_ns)


class RequestSpan:
    """The span of one request, as a context manager around its handling."""

    def __init__(self, tracer: trace.Tracer, span: trace.Span, context: RequestContext, method: str) -> None:
        self._tracer = tracer
        self._span = span
        self._context = context
        self._method = method
        self._status: int | None = None
        self._ahead_ns = time.time_ns() - time.perf_counter_ns()

    def wrap_send(self, send: Send) -> Send:
        """Return a `send` that adds a `traceparent` header to the response."""
        known = self._span.get_span_context()
        parent = f"00-{known.trace_id:032x}-{known.span_id:016x}-{known.trace_flags & 1:02x}".encode()

        async def send_with_parent(message: Message) -> None:
            """Send a message; the header goes with the start of the response."""
            if message["type"] == "http.response.start":
                self._status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"traceparent", parent)]
            await send(message)

        return send_with_parent

    def __enter__(self) -> RequestSpan:
        if self._span.is_recording():
            self._context.stages = []
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the span, and add the stages that were measured for the request."""
        if self._context.stages is not None:
            self._describe()
            for stages in self._context.stages:
                self._add(stages)
        self._span.end()

    def _describe(self) -> None:
        self._span.update_name(f"{self._method} {self._context.route}")
        self._span.set_attribute("http.route", self._context.route)
        self._span.set_attribute("tabserve.request_id", self._context.id)
        if self._status is not None:
            self._span.set_attribute("http.response.status_code", self._status)
            if self._status >= FIRST_SERVER_ERROR:
                self._span.set_attribute("error.type", str(self._status))
                self._span.set_status(trace.StatusCode.ERROR)

    def _add(self, stages: Stages) -> None:
        """Add a span for each stage, one after the other; for an answer in blocks, each is the sum of its blocks."""
        self._span.set_attribute("tabserve.outcome", stages.outcome)
        if stages.counts is not None:
            model, version = stages.counts.key
            self._span.set_attributes({"tabserve.model": model, "tabserve.version": version})
        inside = trace.set_span_in_context(self._span, Context())
        at_ns = stages.began_ns + self._ahead_ns
        for stage, took_ns in zip(STAGES, stages.took_ns, strict=True):
            if took_ns:
                self._tracer.start_span(stage, inside, start_time=at_ns).end(at_ns + took_ns)
                at_ns += took_ns


def _parent(scope: Mapping[str, Any]) -> Context:
    """Return the trace context of a request; an invalid or repeated header counts as none."""
    found: dict[str, list[str]] = {"traceparent": [], "tracestate": []}
    for name, value in scope["headers"]:
        if name in {b"traceparent", b"tracestate"}:
            found[name.decode()].append(value.decode("latin-1"))
    if len(found["traceparent"]) != 1:
        return Context()
    return _PROPAGATOR.extract({name: values for name, values in found.items() if values}, Context())
