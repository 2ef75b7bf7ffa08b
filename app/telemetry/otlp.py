"""Send spans to an OpenTelemetry collector from a background thread.

The SDK is an optional extra, imported only if a collector is configured; it reads the other OTEL_ variables itself.
Spans that the collector does not accept are lost, and the loss is logged. This module must not know what spans are
about.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from opentelemetry import trace

from app.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

logger = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"
COMPLAINT_S = 60.0  # between two warnings about a collector that does not accept spans
CLOSE_S = 3.0


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Tell whether the environment asks for spans to be sent.

    Raises:
        ConfigurationError: if it does, but they cannot be sent.
    """
    named = next((name for name in ENDPOINTS if environment.get(name)), None)
    exporter = environment.get("OTEL_TRACES_EXPORTER") or "otlp"
    if named is None or exporter == "none" or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if exporter != "otlp":
        raise ConfigurationError(f"OTEL_TRACES_EXPORTER must be otlp or none, got {exporter!r}")
    for name in PROTOCOLS:
        if environment.get(name, "") not in {"", "http/protobuf"}:
            raise ConfigurationError(f"{name} must be http/protobuf, got {environment[name]!r}")
    if not _is_address(environment[named]):  # not shown: it may hold a password
        raise ConfigurationError(f"{named} must be an address such as http://collector:4318")
    if importlib.util.find_spec("opentelemetry.sdk") is None:
        raise ConfigurationError(f"{named} is set, which needs pip install 'tabserve[otel]'")
    return True


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


class SpanSender:
    """Send the spans of this process to the collector."""

    def __init__(self) -> None:
        self._provider: TracerProvider | None = None

    def open(self, environment: Mapping[str, str]) -> trace.Tracer:
        """Start sending; return the tracer whose spans are sent."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it logs every batch that fails
        attributes = {"service.version": metadata.version("tabserve")}
        if not environment.get("OTEL_SERVICE_NAME") and "service.name=" not in environment.get(ATTRIBUTES, ""):
            attributes["service.name"] = "tabserve"
        resource = Resource.create(attributes)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = cast("SpanExporter", _Exporter(OTLPSpanExporter()))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        return self._provider.get_tracer("tabserve")

    async def close(self) -> None:
        """Send the remaining spans, within CLOSE_S."""
        if self._provider is None:
            return
        # A daemon thread, so that a slow collector does not delay the end of the process.
        thread = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, CLOSE_S)
        if thread.is_alive():
            logger.warning("the last traces were not taken within %g s and are lost", CLOSE_S)


class _Exporter:
    """Forward spans, and warn at most every COMPLAINT_S if the collector does not accept them; for one thread."""

    def __init__(self, exporter: SpanExporter, clock: Callable[[], float] = time.monotonic) -> None:
        self._exporter = exporter
        self._clock = clock
        self._lost = 0
        self._complained: float | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans."""
        result = self._exporter.export(spans)
        if result.name != "SUCCESS":
            self._lost += len(spans)
            if self._complained is None or self._clock() - self._complained >= COMPLAINT_S:
                self._complained = self._clock()
                logger.warning("the collector takes no traces; %d spans were lost so far", self._lost)
        elif self._complained is not None:
            self._complained = None
            logger.info("the collector takes traces again")
        return result

    def shutdown(self) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Delegate to the exporter; this class holds no spans back."""
        return self._exporter.force_flush(timeout_millis)
