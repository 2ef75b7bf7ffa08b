"""JSON answers for people: a line feed at the end, and `?pretty=true`.

Predictions and the Open Inference Protocol do not pass here.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import InvalidInput, Problem
from app.security.permissions import Routes

PRETTY = "pretty"

_VALUES = {"true": True, "false": False}
_JSON = (b"application/json", b"application/problem+json")
_OTHERS = (Routes.PREDICT_AS_BODY_SAYS.template, Routes.V2_SERVER.template)


class Readable:
    """Wrap an app; its routes do not see the parameter `pretty`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            InvalidInput: if `pretty` of a GET request is neither true nor false.
        """
        if scope["type"] != "http" or scope["path"].startswith(_OTHERS):
            await self._app(scope, receive, send)
            return
        pretty = scope["method"] == "GET" and _take_pretty(scope)
        await self._app(scope, receive, _ReadableSend(send, pretty=pretty).send)


class _ReadableSend:
    """Send one answer, changed if it is JSON in one piece."""

    def __init__(self, send: Send, *, pretty: bool) -> None:
        self._send = send
        self._pretty = pretty
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        """Hold the head of a JSON answer until its body is known, and pass everything else on."""
        if message["type"] == "http.response.start" and dict(message["headers"]).get(b"content-type") in _JSON:
            self._start = message
            return
        if self._start is not None:
            start, self._start = self._start, None
            if message.get("body") and not message.get("more_body"):
                body = self._format(message["body"])
                headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
                start = {**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]}
                message = {**message, "body": body}
            await self._send(start)
        await self._send(message)

    def _format(self, body: bytes) -> bytes:
        if self._pretty:
            body = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2)
        return body if body.endswith(b"\n") else body + b"\n"


def _take_pretty(scope: Scope) -> bool:
    """Return whether an indented answer is wanted, and take the parameter out of the query."""
    if b"pretty" not in scope["query_string"]:
        return False
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    given = dict(pairs).get(PRETTY)
    if given is None:
        return False
    if given not in _VALUES:
        problem = "must be true or false"
        raise InvalidInput(f"{PRETTY}: {problem}; see GET /docs", (Problem(None, PRETTY, problem),))
    scope["query_string"] = urlencode([pair for pair in pairs if pair[0] != PRETTY]).encode()
    return _VALUES[given]
