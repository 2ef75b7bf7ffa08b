"""Raw requests, and the responses to them."""

from __future__ import annotations

import contextlib

import httpx

from app.security.keys import Scope
from tests.app.sockets import Answer, connected
from tests.attacks.conftest import Guarded

CAP = 8 << 20  # of a body, by default


def head(guarded: Guarded, *headers: str, path: str = "/predict/iris", key: bool = True, method: str = "POST") -> bytes:
    """Return headers without a length, with a key for predictions."""
    bearer = [f"authorization: Bearer {guarded.keys[Scope.PREDICT]}"] if key and guarded.keys else []
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", "content-type: application/json", *bearer, *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def whole(guarded: Guarded, body: bytes, *headers: str, path: str = "/predict/iris") -> bytes:
    """Return a request with its length."""
    return head(guarded, *headers, f"content-length: {len(body)}", path=path) + body


def answer_to(url: httpx.URL, message: bytes) -> Answer:
    """Send a message on a new connection, even if the service does not read all of it."""
    with connected(url) as connection:
        with contextlib.suppress(ConnectionError):
            connection.send(message)
        return connection.answer()


def post(guarded: Guarded, message: bytes) -> int:
    """Send a message and return the status of the response."""
    return answer_to(guarded.url, message).status


def in_chunks(body: bytes, size: int = 1 << 20) -> bytes:
    """Return a body as chunks."""
    parts = [body[place : place + size] for place in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
