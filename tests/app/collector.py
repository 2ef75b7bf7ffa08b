"""An OpenTelemetry collector for tests: takes spans over OTLP/HTTP and decodes them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from tests.app.waiting import until

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@dataclass(frozen=True)
class Span:
    """A span as it came; ids are hexadecimal."""

    name: str
    trace: str
    id: str
    parent: str
    state: str
    is_server: bool
    is_error: bool
    began_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    service: str


@dataclass
class Collector:
    """What came so far, and whether it is taken.

    Attributes:
        status: what senders are answered.
        open: while it is cleared, senders wait for their answer.
    """

    url: str
    status: int = 200
    spans: list[Span] = field(default_factory=list)
    posts: int = 0
    open: threading.Event = field(default_factory=threading.Event)

    def named(self, name: str, trace: str | None = None) -> Span:
        """Wait for the one span of a name, in a trace if there is one given."""
        (found,) = until(lambda: self._found(name, trace) or None, f"a span {name} comes")
        return found

    def inside(self, span: Span) -> list[Span]:
        """Return the children of a span; they came with it."""
        return [child for child in self.spans if child.parent == span.id]

    def _found(self, name: str, trace: str | None) -> list[Span]:
        return [span for span in self.spans if span.name == name and trace in {None, span.trace}]


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.posts += 1
            collector.open.wait()
            if collector.status == 200 and self.path == "/v1/traces":
                collector.spans += _spans(body)
            self.send_response(collector.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    collector.open.set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield collector
    finally:
        collector.open.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _spans(body: bytes) -> Iterator[Span]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    state=span.trace_state,
                    is_server=span.kind == Message.SPAN_KIND_SERVER,
                    is_error=span.status.code == 2,
                    began_ns=span.start_time_unix_nano,
                    ended_ns=span.end_time_unix_nano,
                    attributes={a.key: a.value.string_value or a.value.int_value for a in span.attributes},
                    service=service,
                )
