"""One request on its way through the edge: its body counted while it is read, its answer marked; no model, no JSON."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

from starlette.types import Message, Receive, Send

from app.api.errors import CLIENT_CLOSED, problem_answer
from app.errors import BodyTooLarge, MalformedBody
from app.holding import Holding
from app.inference.bulk import BrokenOff
from app.security.audit.requests import AuditedRequest, Auditor
from app.telemetry.in_flight import Flight

logger = logging.getLogger(__name__)

# Of every answer; a route that sends one of them itself knows better.
COMMON_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
# As much of a body as is read for nothing after a refusal, so that the connection can be used again.
FEW_BYTES = 64 << 10

_MAX_LENGTH_DIGITS = 18


class CountedBody:
    """The `receive` of a request whose body may have so many bytes, declared or not.

    Attributes:
        much_is_left: more may come than is worth reading for nothing.
    """

    def __init__(
        self,
        receive: Receive,
        headers: Mapping[bytes, bytes],
        limit_bytes: int,
        flight: Flight,
        holding: Holding | None,
    ) -> None:
        """Look at what the client declares.

        Args:
            receive: of the server.
            headers: of the request.
            limit_bytes: how many bytes there may be.
            flight: waits while the client has to send.
            holding: counts them if they are held until the answer is sent, not only while they pass through.

        Raises:
            MalformedBody: if that is no number of bytes.
        """
        declared = headers.get(b"content-length")
        if declared is not None and not declared.isdigit():
            raise MalformedBody("the Content-Length header must be a number of bytes")
        size = 0 if declared is None else int(declared[: _MAX_LENGTH_DIGITS + 1])
        self.much_is_left = size > FEW_BYTES or b"transfer-encoding" in headers
        self._too_much = size > limit_bytes
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._left = limit_bytes
        self._flight = flight
        self._holding = holding

    async def __call__(self) -> Message:
        """Return the next piece; a client that declares too much is refused before its first byte is read.

        Raises:
            BodyTooLarge, TooManyBytesHeld.
            TooManyInFlight: if the body is whole, and there are too many others by now.
        """
        if self._too_much:
            raise BodyTooLarge(self._limit_bytes)
        self._flight.pause()
        try:
            message = await self._receive()
        finally:
            self._flight.resume()
        size, more = len(message.get("body", b"")), message.get("more_body", False)
        self._left -= size
        if self._left < 0:
            raise BodyTooLarge(self._limit_bytes)
        if self._holding is not None and message["type"] == "http.request":
            self._hold(self._holding, size, more=more)
        if not more:
            self.much_is_left = False
        return message

    def _hold(self, holding: Holding, size: int, *, more: bool) -> None:
        """Count what came of a body that is answered when it is whole."""
        if more:
            holding.receive(size)
            return
        holding.received()
        holding.take(size)
        self._flight.require_room()


class Exchange:
    """One request's answer: adds what every answer has, and keeps the status.

    Attributes:
        body: the request's, as soon as it may be read.
        status: of the answer; until it starts, that of a client who went away first.
        sent_bytes: of the answer's body, so far.
        key_id: of the key that was accepted, if one was.
        audited: where the request is on record, if it is.
    """

    def __init__(
        self, request_id: str, path: str, send: Send, headers: list[tuple[bytes, bytes]], flight: Flight
    ) -> None:
        """Store the parts.

        Args:
            request_id: goes into the answer.
            path: errors look as the clients of a path expect.
            send: of the server.
            headers: what else goes into the answer.
            flight: waits while the client has to send, or to read.
        """
        self.request_id = request_id
        self.status = CLIENT_CLOSED
        self.body: CountedBody | None = None
        self.sent_bytes = 0
        self.key_id: str | None = None
        self.audited: AuditedRequest | None = None
        self._path = path
        self._send = send
        self._flight = flight
        self._headers = [(b"x-request-id", request_id.encode()), *headers]

    def read(
        self, receive: Receive, headers: Mapping[bytes, bytes], limit_bytes: int, holding: Holding | None
    ) -> CountedBody:
        """Return what the body is to be read with; for the arguments see there.

        Raises:
            MalformedBody: if the headers lie about it.
        """
        self.body = CountedBody(receive, headers, limit_bytes, self._flight, holding)
        return self.body

    async def send(self, message: Message) -> None:
        """Pass a message of the answer on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = list(message.get("headers", ()))
            names = {name for name, _ in given}
            common = [header for header in COMMON_HEADERS if header[0] not in names]
            message["headers"] = [*given, *self._headers, *common, *self._closing()]
        else:
            self.sent_bytes += len(message.get("body", b""))
        self._flight.pause()
        try:
            await self._send(message)
        finally:
            self._flight.resume()

    async def put_on_record(
        self, auditor: Auditor, action: str, names: Mapping[str, str], caller: dict[str, object]
    ) -> None:
        """Put the request on record, and its answer when it comes, before that is sent.

        Raises:
            AuditUnavailable: then what was asked for must not be done.
        """
        caller = {"request_id": self.request_id, "key": self.key_id, **caller}
        with self._flight.waiting():
            self._send = self.audited = await auditor.begin(action, self._send, names, caller)

    async def answer(self, status: HTTPStatus, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        """Send a whole answer."""
        if status is not HTTPStatus.NO_CONTENT:
            headers.append((b"content-length", b"%d" % len(body)))
        await self.send({"type": "http.response.start", "status": status.value, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def fail(self, error: Exception) -> None:
        """Answer with what went wrong, if nothing was answered yet."""
        started = self.status != CLIENT_CLOSED
        if isinstance(error, BrokenOff):
            logger.warning("an answer was broken off: %s", error)
            return
        status, body, headers = problem_answer(error, self.request_id, self._path)
        if status is HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error("a request failed", exc_info=error, extra={"request_id": self.request_id})
        if not started:
            await self.answer(status, body, headers)

    def _closing(self) -> list[tuple[bytes, bytes]]:
        """Return the header that ends the connection if the rest of the body would be read for nothing."""
        refused = self.status >= HTTPStatus.BAD_REQUEST
        return [(b"connection", b"close")] if refused and self.body is not None and self.body.much_is_left else []
