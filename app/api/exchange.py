"""One request and its response: size limits, common headers, the audit entry.

This module must not know models or parse JSON.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

from starlette.types import Message, Receive, Send

from app.api.error_responses import CLIENT_CLOSED, log_and_render
from app.api.errors import BodyTooLarge
from app.context import MemoryReservation, RequestContext
from app.errors import MalformedBody
from app.inference.writing import BrokenOff
from app.security.audit.requests import AuditedRequest, Auditor
from app.telemetry.in_flight import Flight

logger = logging.getLogger(__name__)

# Added to every response; a header that the route sets itself takes precedence.
COMMON_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
# After a refusal, at most this much of the body is read and discarded, so that the connection can be reused.
FEW_BYTES = 64 << 10

_MAX_LENGTH_DIGITS = 18


class CountedBody:
    """The `receive` callable of a request; it enforces the size limit of the body, declared or not.

    Attributes:
        much_is_left: the rest of the body may be too large to be worth reading and discarding.
        answered: the response has started, so the request can no longer be refused.
    """

    def __init__(
        self,
        receive: Receive,
        headers: Mapping[bytes, bytes],
        limit_bytes: int,
        flight: Flight,
        memory: MemoryReservation | None,
    ) -> None:
        """Read the declared length.

        Args:
            receive: the server's `receive`.
            headers: the request's headers.
            limit_bytes: size limit of the body.
            flight: paused while waiting for the client to send.
            memory: reserves memory for a body that is held until the response is sent; None for a streamed body.

        Raises:
            MalformedBody: if Content-Length is not a number.
        """
        declared = headers.get(b"content-length")
        if declared is not None and not declared.isdigit():
            raise MalformedBody("the Content-Length header must be a number of bytes")
        size = 0 if declared is None else int(declared[: _MAX_LENGTH_DIGITS + 1])
        self.much_is_left = size > FEW_BYTES or b"transfer-encoding" in headers
        self.answered = False
        self._awaited = False  # part of the body has arrived, but not all of it
        self._too_much = size > limit_bytes
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._left = limit_bytes
        self._flight = flight
        self._memory = memory

    async def __call__(self) -> Message:
        """Return the next piece; a body whose declared length is too large is refused before its first byte is read.

        Raises:
            BodyTooLarge, TooManyBytesHeld.
            TooManyInFlight: if the body is complete and too many other requests are being answered by now.
        """
        if self._too_much:
            raise self._too_large()
        self._flight.pause()
        try:
            message = await self._receive()
        finally:
            self._flight.resume()
        size, more = len(message.get("body", b"")), message.get("more_body", False)
        self._left -= size
        if self._left < 0:
            raise self._too_large()
        if message["type"] == "http.request":
            if self._memory is not None:
                _reserve(self._memory, size, more=more)
            self._require_room(size, more=more)
        if not more:
            self.much_is_left = False
        return message

    def _too_large(self) -> BodyTooLarge:
        setting = "TABSERVE_MAX_STREAM_BYTES" if self._memory is None else "TABSERVE_MAX_BODY_BYTES"
        return BodyTooLarge(self._limit_bytes, setting)

    def _require_room(self, size: int, *, more: bool) -> None:
        """Require room once, when a body is complete; an empty one, such as that of a GET, took no time."""
        self._awaited |= more or size > 0
        if self._awaited and not more:
            self._awaited = False
            if not self.answered:
                self._flight.require_room()


def _reserve(memory: MemoryReservation, size: int, *, more: bool) -> None:
    """Reserve memory for a piece of a body that is answered when it is complete."""
    if more:
        memory.reserve_incomplete(size)
    else:
        memory.complete()
        memory.reserve(size)


class Exchange:
    """The response to one request: adds the common headers and records the status.

    Attributes:
        context: the request.
        body: the request's body, once it may be read.
        status: status of the response; 499 until it starts, as for a client that disconnects first.
        sent_bytes: bytes of the response body sent so far.
        audited: the request's audit entry, if it has one.
    """

    def __init__(
        self,
        context: RequestContext,
        path: str,
        send: Send,
        headers: list[tuple[bytes, bytes]],
        flight: Flight,
        *,
        accept: bytes | None = None,
    ) -> None:
        """Prepare the response.

        Args:
            context: the request; its id is sent in a header.
            path: path of the request, which determines the format of errors, with the header `Accept`.
            send: the server's `send`.
            headers: other headers to add to the response.
            flight: paused while waiting for the client to send or to read.
            accept: the request's header of this name, if it has one.
        """
        self.context = context
        self.status = CLIENT_CLOSED
        self.body: CountedBody | None = None
        self.sent_bytes = 0
        self.audited: AuditedRequest | None = None
        self._path = path
        self._accept = accept
        self._send = send
        self._answered = False
        self._flight = flight
        self._headers = [(b"x-request-id", context.id.encode()), *headers]

    def read(
        self, receive: Receive, headers: Mapping[bytes, bytes], limit_bytes: int, memory: MemoryReservation | None
    ) -> CountedBody:
        """Create the `CountedBody` to read the body with; see its constructor for the arguments.

        Raises:
            MalformedBody: if Content-Length is not a number.
        """
        self.body = CountedBody(receive, headers, limit_bytes, self._flight, memory)
        return self.body

    async def send(self, message: Message) -> None:
        """Send an ASGI message of the response, with the common headers added."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.body is not None:
                self.body.answered = True
            given = list(message.get("headers", ()))
            names = {name for name, _ in given}
            common = [header for header in COMMON_HEADERS if header[0] not in names]
            message["headers"] = [*given, *self._headers, *common, *self._connection_headers()]
        else:
            self.sent_bytes += len(message.get("body", b""))
        self._flight.pause()
        try:
            await (self.audited or self._deliver)(message)
        finally:
            self._flight.resume()

    async def begin_audit(
        self, auditor: Auditor, action: str, names: Mapping[str, str], caller: dict[str, object]
    ) -> None:
        """Begin the request's audit entry; the outcome is added before the response is sent.

        Raises:
            AuditUnavailable: if it cannot be written; the request must not be carried out.
        """
        caller = {"request_id": self.context.id, "key": self.context.key_id, **caller}
        with self._flight.waiting():
            self.audited = await auditor.begin(action, self._deliver, names, caller)

    async def answer(self, status: HTTPStatus, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        """Send a complete response."""
        if status is not HTTPStatus.NO_CONTENT:
            headers.append((b"content-length", b"%d" % len(body)))
        await self.send({"type": "http.response.start", "status": status.value, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def fail(self, error: Exception) -> None:
        """Send an error response, if no response has started."""
        if isinstance(error, BrokenOff):
            logger.warning("an answer was broken off: %s", error)
            return
        accept = None if self._accept is None else self._accept.decode("latin-1")
        status, body, headers = log_and_render(error, self.context.id, self._path, accept)
        if not self._answered:
            self.sent_bytes = 0
            await self.answer(status, body, headers)

    async def _deliver(self, message: Message) -> None:
        """Hand a message to the server; until the first one, also one that is held back, the answer can be changed."""
        await self._send(message)
        self._answered = True

    def _connection_headers(self) -> list[tuple[bytes, bytes]]:
        """Return `Connection: close` if a refused request may still send much of its body, else no header."""
        refused = self.status >= HTTPStatus.BAD_REQUEST
        return [(b"connection", b"close")] if refused and self.body is not None and self.body.much_is_left else []
