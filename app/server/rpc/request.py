"""Send one request to an ASGI app in this process and return its whole response."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.security.admission import GONE

Message = dict[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
"""An ASGI app."""

NO_RESPONSE = 499  # the app ends without a response where the client has gone


@dataclass(frozen=True, slots=True)
class AppRequest:
    """A request.

    Attributes:
        method: method of HTTP.
        path: path, not quoted.
        headers: names in lower case, and values.
        client: address of the client.
        gone: returns whether the client no longer waits.
        body: the body.
    """

    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    client: str
    gone: Callable[[], bool]
    body: bytes = b""


@dataclass(slots=True)
class AppResponse:
    """A response; without one, `status` is NO_RESPONSE."""

    status: int = NO_RESPONSE
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


async def ask(app: App, request: AppRequest) -> AppResponse:
    """Send a request to the app and return its response; cancelling the task disconnects."""
    response, parts = AppResponse(), []
    waiting = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> Message:
        """Return the body; nothing follows it until the task is cancelled."""
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop()

    async def send(message: Message) -> None:
        """Keep a part of the response."""
        if message["type"] == "http.response.start":
            response.status, response.headers = message["status"], dict(message["headers"])
        else:
            parts.append(message.get("body", b""))

    await app(_scope(request), receive, send)
    response.body = b"".join(parts)
    return response


def _scope(request: AppRequest) -> Message:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "2",
        "method": request.method,
        "scheme": "http",
        "path": request.path,
        "raw_path": request.path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": request.headers,
        "client": (request.client, 0),
        "server": None,
        GONE: request.gone,
    }
