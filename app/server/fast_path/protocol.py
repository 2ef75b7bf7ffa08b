"""uvicorn's HTTP protocol, extended to answer small `POST /predict/{model}` without ASGI.

All other requests go through uvicorn and ASGI. This class only handles the plain case: an HTTP/1.1 request with usual
headers and a small JSON body, and no unanswered request before it on the connection. It must not know models or parse
JSON; both paths pass the body to the same `Pipeline`.
"""

from __future__ import annotations

import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.api.asgi import Edge
from app.api.exchange import COMMON_HEADERS
from app.context import UNMATCHED
from app.errors import ServingError
from app.security.admission import COUNTED, HEADERS_NEEDING_FULL_CHECKS
from app.security.permissions import Routes
from app.server.fast_path.request import Accounting, DirectExchange, PlainHead, problem_bytes
from app.server.protocol import BoundedProtocol
from app.server.timeouts import BODY_BEGUN, HEAD_BEGUN, IDLE

MAX_DIRECT_BYTES = 64 << 10

_PREFIX = Routes.PREDICT.template.removesuffix("{model}").encode()
_JSON_TYPES = frozenset((b"application/json", b"application/json; charset=utf-8"))
_ACCEPTING_JSON = frozenset((b"*/*", b"application/json", b"application/json, text/plain, */*"))  # the last is axios'
_UNUSUAL_HEADERS = (
    frozenset((b"expect", b"transfer-encoding", b"upgrade", b"x-prediction-receipt")) | HEADERS_NEEDING_FULL_CHECKS
)
_UNUSUAL_IN_PATH = frozenset(b"/?%#;")
_SMALL_LENGTH = re.compile(rb"[0-9]{1,6}")
_COMMON = b"".join(b"%b: %b\r\n" % header for header in COMMON_HEADERS)


class DirectProtocol(BoundedProtocol):
    """uvicorn's protocol with the fast path in front; see the module docstring."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if not isinstance(self.app, Edge):
            raise TypeError(f"this protocol serves an Edge, got {type(self.app).__name__}; set proxy_headers=False")
        edge = self.edge = self.app
        self.bounds = edge.admission.receive_limits
        self._accounting = Accounting(
            edge.metrics,
            edge.predictions,
            edge.request_ids,
            edge.request_log,
            edge.memory,
            edge.admission.max_in_flight,
        )
        self._max_direct_bytes = min(MAX_DIRECT_BYTES, edge.limits.whole) if edge.tracing is None else -1
        self._exchange: DirectExchange | None = None
        self._default_headers: list[tuple[bytes, bytes]] | None = None
        self._default_head = b""
        self._repeated: PlainHead | None = None
        if edge.lifetime.draining:
            self.drain()

    def on_message_begin(self) -> None:
        """Begin a request; the ASGI scope is only built if the request goes through uvicorn."""
        self.phase = HEAD_BEGUN
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self.counted = False
        self._exchange = None
        self.lengths = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header.

        Content-Length is kept apart, because the other headers often equal those of the previous request. uvicorn's own
        handling of a header is repeated here: saving two calls per header saves a twentieth of a request's time.
        """
        name = name.lower()
        if self.phase >= BODY_BEGUN:
            self.on_trailer(name, value)
        elif name == b"content-length":
            self.lengths.append(value)
        else:
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Choose between the fast path and uvicorn."""
        exchange = self._start_exchange()
        if exchange is None:
            self._pass_to_uvicorn()
            return
        self.phase = BODY_BEGUN
        self._exchange = exchange
        self.cycle = exchange  # type: ignore[assignment] # it has all attributes that uvicorn uses
        self.edge.metrics.in_progress += 1

    def on_body(self, body: bytes) -> None:
        """Append a piece of the body."""
        if self._exchange is None:
            super().on_body(body)
        else:
            self._exchange.body += body

    def on_message_complete(self) -> None:
        """Answer the request, whose body is complete."""
        exchange = self._exchange
        if exchange is None:
            super().on_message_complete()
            return
        self.phase = IDLE
        self._exchange = None
        try:
            if exchange.incomplete is not None:
                exchange.complete_body()
            alone = len(self.connections) == 1
            entry = self.edge.pipeline.answer_soon(exchange.body, exchange.model, exchange.finish, alone=alone)
        except Exception as error:
            exchange.finish(error)
            return
        if entry is not None:
            exchange.entry = None if exchange.response_complete else entry
            return
        self.edge.metrics.in_progress -= 1
        self.cycle = None  # type: ignore[assignment] # as before this request
        self._pass_to_uvicorn()
        scope: Any = self.scope
        scope[COUNTED] = True
        self.cycle.keep_alive &= exchange.keep_alive  # the server may be shutting down by now
        super().on_body(exchange.body)
        super().on_message_complete()

    def _still_receiving(self, data: bytes) -> None:
        super()._still_receiving(data)
        if self._exchange is not None and not self._exchange.response_complete:
            self._exchange.wait_for_body()

    def shutdown(self) -> None:
        """Begin the shutdown: requests in progress are finished, responses that wait for an event end."""
        self.edge.lifetime.stopping.set()
        super().shutdown()

    def write_answer(self, status: int, headers: bytes, body: bytes, request_id: str, *, keep_alive: bool) -> None:
        """Write a complete response; `headers` are those specific to this response."""
        self.transport.write(
            b"%b%b%b%bcontent-length: %d\r\nx-request-id: %b\r\n%b\r\n%b"
            % (
                STATUS_LINE[status],
                self.default_head(),
                headers,
                _COMMON,
                len(body),
                request_id.encode(),
                b"" if keep_alive else b"connection: close\r\n",
                body,
            )
        )

    def refuse(self, error: ServingError) -> None:
        """Refuse input that never became a request with problem details, and close the connection."""
        request_id = self.edge.request_ids.choose(None)
        status, body, headers = problem_bytes(error, request_id)
        self.write_answer(status, headers, body, request_id, keep_alive=False)
        self.linger()
        self.edge.metrics.requests(UNMATCHED, "other").count(status, 0.0)
        if self.edge.request_log is not None:
            self.edge.request_log.log_refusal(
                request_id=request_id, status=status, sent_bytes=len(body), peer=self.peer
            )

    @property
    def peer(self) -> str:
        """Return the client's address, or an empty string if it is unknown."""
        return self.client[0] if self.client else ""

    def default_head(self) -> bytes:
        """Return the headers common to all responses of the server, such as the date, as bytes."""
        if self._default_headers is not self.server_state.default_headers:
            self._default_headers = self.server_state.default_headers
            self._default_head = b"".join(b"%b: %b\r\n" % header for header in self._default_headers)
        return self._default_head

    def _start_exchange(self) -> DirectExchange | None:
        """Return an exchange if the request qualifies for the fast path, else None."""
        before = self.cycle
        if before is not None and not (before.response_complete and before.keep_alive):
            return None
        if len(self.lengths) != 1 or not _SMALL_LENGTH.fullmatch(self.lengths[0]) or self.flow.write_paused:
            return None
        if int(self.lengths[0]) > self._max_direct_bytes:
            return None
        if self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1":
            return None
        head, given_id = self._repeated, None
        if head is None or head.url != self.url or head.headers != self.headers:
            head, given_id = self._read_plain_head()
        if head is None or not self.edge.admission.admit_again(head.known, self.client[0] if self.client else ""):
            self._repeated = None
            return None
        keep_alive = self.parser.should_keep_alive() and not self._last
        return DirectExchange(self, self._accounting, head, given_id, keep_alive=keep_alive)

    def _read_plain_head(self) -> tuple[PlainHead | None, bytes | None]:
        """Return the parsed head if it is plain, and the client's request id.

        A head without a request id is remembered, because the same one may come again.
        """
        headers = dict(self.headers)
        name = self.url.removeprefix(_PREFIX)
        plain = (
            len(name) == len(self.url) - len(_PREFIX)
            and name
            and _UNUSUAL_IN_PATH.isdisjoint(name)
            and headers.get(b"content-type") in _JSON_TYPES
            and headers.get(b"accept", b"*/*") in _ACCEPTING_JSON
            and _UNUSUAL_HEADERS.isdisjoint(headers)
            and len(headers) == len(self.headers)
            and b"host" in headers
            and self.head_is_small()
        )
        known = self.edge.admission.recognise(headers) if plain else None
        if known is None:
            return None, None
        found = PlainHead(self.url, self.headers, name.decode("latin-1"), known)
        request_id = headers.get(b"x-request-id")
        if request_id is None:
            self._repeated = found
        return found, request_id

    def _pass_to_uvicorn(self) -> None:
        self.check_head()
        if self.parser.should_upgrade():
            return  # the head is parsed again without the upgrade offer
        url, headers = self.url, self.headers
        # a client of HTTP/1.0 would take 100 for the answer (RFC 9110, section 10.1.1)
        expect = self.expect_100_continue and self.parser.get_http_version() != "1.0"
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)  # the same list object as in uvicorn's scope
        self.headers.extend((b"content-length", length) for length in self.lengths)
        super().on_headers_complete()
