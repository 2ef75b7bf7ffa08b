"""uvicorn's HTTP protocol with bounds on every part of a request from untrusted clients.

httptools sets no limit on the size of a head, a trailer or a chunk extension. At an offer to upgrade the protocol it
stops, and takes the body that follows for the next request. This module must know neither deadlines nor how responses
are written.
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
LEAST_CHUNK_BYTES = 4  # least average beyond FREE_CHUNKS chunks: no row is shorter
CHUNK_LINE_BYTES = 16  # allowed per chunk besides its data, for size and line ends; anything above is counted
_HEAD_END = b"\r\n\r\n"
INVALID = "Invalid HTTP request received."


class ParsingProtocol(HttpToolsProtocol):
    """HTTP protocol with bounds; see the module docstring.

    A subclass implements `send_400_response`, and may take requests before uvicorn does.

    Attributes:
        bounds: set by the subclass before a connection is made.
        phase, since_s, received, excused_s: see `app.server.timeouts.TimedConnection`.
        deaf: nothing more is read, because the last input was refused or the connection ends.
        counted: the bytes received besides the body data of the current request are counted, to be bounded.
        lengths: the values of Content-Length, which are not among the headers.
        refusal: the error to answer with.
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
        self._head_is_new = False  # it ended in the piece that is being read
        self._came = self._body_bytes = self._chunks = self._trailers = self._trailer_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Read a packet, in pieces no larger than the limit of a head, so that each can be checked."""
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
            self._still_receiving(data)

    def on_message_begin(self) -> None:
        """Note the beginning of a request."""
        self.phase = HEAD_BEGUN
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Let uvicorn answer the request."""
        super().on_headers_complete()
        self.phase = BODY_BEGUN
        self.counted = True
        self._head_is_new = True
        self._came = self._body_bytes = self._chunks = self._trailers = self._trailer_bytes = 0

    def on_trailer(self, name: bytes, value: bytes) -> None:
        """Count a trailer field and ignore it: authentication and routing have already used the headers.

        Raises:
            HeadTooLarge: if the trailer fields are too many or too long.
        """
        self._trailers += 1
        self._trailer_bytes += len(name) + len(value) + 4
        if self._trailers > self.bounds.max_headers or self._trailer_bytes > self.bounds.max_head_bytes:
            self.raise_(self._too_large())

    def on_chunk_header(self) -> None:
        """Count a chunk; the parser handles all chunks of a packet without a pause, however many there are.

        Raises:
            MalformedBody: if the chunks are too small on average.
        """
        self._chunks += 1
        if self._chunks > FREE_CHUNKS and self._body_bytes < LEAST_CHUNK_BYTES * (self._chunks - 1):
            self.raise_(MalformedBody(f"the chunks of the body are too small; send {LEAST_CHUNK_BYTES} bytes in each"))

    def on_body(self, body: bytes) -> None:
        """Count a piece of the body and pass it on."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request, unless the parser stopped before the body because of an upgrade offer."""
        if not self.parser.should_upgrade():
            self.phase = IDLE
            super().on_message_complete()

    def check_head(self) -> None:
        """Check the complete head; not needed for a head equal to one already checked.

        Raises:
            ServingError: httptools passes it on, and `data_received` then calls `send_400_response`.
        """
        if self.cycle is not None and not self.cycle.keep_alive:
            self.raise_(MalformedRequest("this connection ends with the answer before"))  # RFC 9112, section 9.6
        if not self.head_is_small():
            self.raise_(self._too_large())
        try:
            require_unambiguous(self.parser.get_http_version(), self.headers)
        except MalformedRequest as error:
            self.raise_(error)
        if self.parser.should_upgrade() and self.parser.get_method() == b"CONNECT":  # not HTTP from here on
            self.raise_(MalformedRequest("this is no proxy; CONNECT is not answered"))

    def head_is_small(self) -> bool:
        """Tell whether the complete head is within its limits."""
        if len(self.headers) > self.bounds.max_headers:
            return False
        if self.phase != HEAD:
            return True  # it came in one piece, and a piece is never larger than the limit
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        return size <= self.bounds.max_head_bytes

    def raise_(self, error: ServingError) -> None:
        """Refuse the request that is being parsed.

        Raises:
            ServingError: httptools passes it on, and `data_received` then calls `send_400_response`.
        """
        self.refusal = error
        raise error

    def _without_offer(self) -> bytes:
        """Return the head without its upgrade offer, for a new parser to read together with the body.

        A server may ignore an upgrade offer (RFC 9110, section 7.8), but httptools then skips the body.
        """
        first = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        kept = [header for header in self.headers if header[0] != b"upgrade"]
        lengths = [(b"content-length", length) for length in self.lengths]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it
        return b"".join((first, *(b"%b: %b\r\n" % header for header in (*kept, *lengths)), b"\r\n"))

    def _still_receiving(self, data: bytes) -> None:
        """Check the size limits after a piece that left a request incomplete or ended one whose body is counted."""
        if self.phase in (HEAD_BEGUN, BODY_BEGUN):
            self.phase += 1
            self.since_s, self.received, self.excused_s = self.loop.time(), 0, 0.0
        else:
            self.received += len(data)
        if self.phase == HEAD:
            if self.received > self.bounds.max_head_bytes:
                self._refuse_too_large()
        elif self.counted:
            self._came += self._behind_the_head(data)
            besides = self._came - self._body_bytes - CHUNK_LINE_BYTES * self._chunks
            self.counted = self.phase != IDLE
            if besides > self.bounds.max_head_bytes:
                self.phase = BODY  # even if the request has just ended, because this is the one to refuse
                self._refuse_too_large()

    def _behind_the_head(self, data: bytes) -> int:
        """Return how much of a piece comes after the head; before it may be the head itself and other requests.

        The parser does not say where the head ends. Its last possible end is assumed, which excuses one piece at most.
        """
        if not self._head_is_new:
            return len(data)
        self._head_is_new = False
        return max(len(data) - data.rfind(_HEAD_END) - len(_HEAD_END), self._body_bytes)

    def _refuse_too_large(self) -> None:
        self.refusal = self._too_large()
        self.send_400_response("")

    def _too_large(self) -> HeadTooLarge:
        return HeadTooLarge(self.bounds.max_head_bytes, self.bounds.max_headers)
