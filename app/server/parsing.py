"""uvicorn's HTTP protocol made to read whatever strangers send: no part is endless, no body is taken for a request.

httptools has no bound for a head, a trailer or a chunk extension that never ends. It stops at an offer to change the
protocol and takes the body behind it for the next request. This must not know deadlines, nor how answers are written.
"""

from __future__ import annotations

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import MalformedBody, ServingError
from app.security.errors import HeadTooLarge, MalformedRequest
from app.security.rate_limit import ReceiveLimits
from app.server.headers import require_unambiguous
from app.server.timeouts import BODY, BODY_BEGUN, FIRST, HEAD, HEAD_BEGUN, IDLE

FREE_CHUNKS = 1024
LEAST_CHUNK_BYTES = 4  # on average, of more than these: no row is shorter
CHUNK_LINE_BYTES = 16  # what a chunk may have besides its data: size, line ends; extensions are counted
INVALID = "Invalid HTTP request received."


class ParsingProtocol(HttpToolsProtocol):
    """See the module. What derives from it answers `send_400_response`, and may take requests before uvicorn does.

    Attributes:
        bounds: set by the deriving class before a connection is made.
        phase, since_s, received, excused_s: see `app.server.timeouts.Connection`.
        deaf: nothing more is read, since what came last was refused or the connection ends.
        counted: what comes besides the present body is counted, to be bounded.
        lengths: the values of Content-Length, which are not among the headers.
        refusal: why, for the answer.
    """

    bounds: ReceiveLimits

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.phase = FIRST
        self.since_s = self.loop.time()
        self.received = 0
        self.excused_s = 0.0
        self.deaf = False
        self.counted = False
        self.lengths: list[bytes] = []
        self.refusal: ServingError | None = None
        self._came = self._body_bytes = self._chunks = self._trailers = self._trailer_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Read a packet, in pieces that are no larger than a head may be, so that each can be bounded."""
        if self.deaf:
            return
        if len(data) > self.bounds.max_head_bytes:
            for start in range(0, len(data), self.bounds.max_head_bytes):
                self.data_received(data[start : start + self.bounds.max_head_bytes])
            return
        left = data
        while left:
            try:
                self.parser.feed_data(left)
                break
            except httptools.HttpParserUpgrade as offer:
                left = self._without_offer() + left[offer.args[0] :]
            except httptools.HttpParserError:
                self.send_400_response(INVALID)
                break
        if self.phase or self.counted:
            self._still_receiving(len(data))

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.phase = HEAD_BEGUN
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Let uvicorn answer the request."""
        super().on_headers_complete()
        self.phase = BODY_BEGUN
        self.counted = True
        self._came = self._body_bytes = self._chunks = self._trailers = self._trailer_bytes = 0

    def on_trailer(self, name: bytes, value: bytes) -> None:
        """Count a header behind the body; it is not kept, since the request was judged by those before it.

        Raises:
            HeadTooLarge: if there are too many, or too long ones.
        """
        self._trailers += 1
        self._trailer_bytes += len(name) + len(value) + 4
        if self._trailers > self.bounds.max_headers or self._trailer_bytes > self.bounds.max_head_bytes:
            self.raise_(self._too_large())

    def on_chunk_header(self) -> None:
        """Count a chunk; however many come in a packet, the parser goes through them without a pause.

        Raises:
            MalformedBody: if they are absurdly small.
        """
        self._chunks += 1
        if self._chunks > FREE_CHUNKS and self._body_bytes < LEAST_CHUNK_BYTES * (self._chunks - 1):
            self.raise_(MalformedBody(f"the chunks of the body are too small; send {LEAST_CHUNK_BYTES} bytes in each"))

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Be told that the request is all here, or that the parser stops before the body for an offer in the head."""
        if not self.parser.should_upgrade():
            self.phase = IDLE
            super().on_message_complete()

    def check_head(self) -> None:
        """Check the head that is complete now; to be called unless it equals one that was checked.

        Raises:
            ServingError: for httptools to pass on, whereupon uvicorn asks for the answer.
        """
        if self.cycle is not None and not self.cycle.keep_alive:
            self.raise_(MalformedRequest("this connection ends with the answer before"))  # RFC 9112, section 9.6
        if not self.head_is_small():
            self.raise_(self._too_large())
        try:
            require_unambiguous(self.parser.get_http_version(), self.headers)
        except MalformedRequest as error:
            self.raise_(error)
        if self.parser.should_upgrade() and self.parser.get_method() == b"CONNECT":  # what follows would be no HTTP
            self.raise_(MalformedRequest("this is no proxy; CONNECT is not answered"))

    def head_is_small(self) -> bool:
        """Tell whether the head that is complete now is within its bounds."""
        if len(self.headers) > self.bounds.max_headers:
            return False
        if self.phase != HEAD:
            return True  # it came in one piece, which is no larger
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        return size <= self.bounds.max_head_bytes

    def raise_(self, error: ServingError) -> None:
        """Refuse the request that is being parsed.

        Raises:
            ServingError: for httptools to pass on, whereupon the answer is asked for.
        """
        self.refusal = error
        raise error

    def _without_offer(self) -> bytes:
        """Return the head at which the parser stopped, without the offer, for a new parser to read it and the body.

        An offer that is not taken changes nothing (RFC 9110, section 7.8), but httptools passes the body over.
        """
        first = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        kept = [header for header in self.headers if header[0] != b"upgrade"]
        lengths = [(b"content-length", length) for length in self.lengths]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it
        return b"".join((first, *(b"%b: %b\r\n" % header for header in (*kept, *lengths)), b"\r\n"))

    def _still_receiving(self, count: int) -> None:
        """Be told of a piece after which more must come, or which ended a request whose body is counted."""
        if self.phase in (HEAD_BEGUN, BODY_BEGUN):
            self.phase += 1
            self.since_s, self.received, self.excused_s = self.loop.time(), 0, 0.0
        else:
            self.received += count
        if self.phase == HEAD:
            if self.received > self.bounds.max_head_bytes:
                self._refuse_too_large()
        elif self.counted:
            self._came += count
            besides = self._came - self._body_bytes - CHUNK_LINE_BYTES * self._chunks
            self.counted = self.phase != IDLE
            if besides > self.bounds.max_head_bytes:
                self.phase = BODY  # also of a request that just ended: it is this one that is refused
                self._refuse_too_large()

    def _refuse_too_large(self) -> None:
        self.refusal = self._too_large()
        self.send_400_response("")

    def _too_large(self) -> HeadTooLarge:
        return HeadTooLarge(self.bounds.max_head_bytes, self.bounds.max_headers)
