"""Requests as a server passes them to the app, message by message.

For what no client can be made to send.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message

JSON = ((b"content-type", b"application/json"),)


@dataclass
class Exchange:
    """What came back, and how many pieces of the body were asked for."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pieces_read: int = 0


async def ask(
    app: ASGIApp,
    path: str,
    pieces: Sequence[bytes] = (b"",),
    headers: Sequence[tuple[bytes, bytes]] = JSON,
    method: str = "POST",
) -> Exchange:
    """Send one request whose body comes in pieces; if there are none, the client goes away before it sent one."""
    exchange = Exchange()

    async def receive() -> Message:
        if exchange.pieces_read >= len(pieces):
            return {"type": "http.disconnect"}
        exchange.pieces_read += 1
        more = exchange.pieces_read < len(pieces)
        return {"type": "http.request", "body": pieces[exchange.pieces_read - 1], "more_body": more}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            exchange.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        exchange.body += message.get("body", b"")

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": list(headers),
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }
    await app(scope, receive, send)
    return exchange


async def ask_at_once(app: ASGIApp, path: str, bodies: Sequence[bytes]) -> list[Exchange]:
    """Send requests that all arrive in the same turn of the event loop."""
    return await asyncio.gather(*(ask(app, path, (body,)) for body in bodies))


async def ask_around_a_deletion(app: ASGIApp, method: str, path: str, deleted: str) -> tuple[Exchange, Exchange]:
    """Send a request whose work in a thread begins only after another one has deleted something."""
    threads, begun, release = ThreadPoolExecutor(1), threading.Event(), threading.Event()
    asyncio.get_running_loop().set_default_executor(threads)

    def occupy() -> None:
        """Keep the only thread busy."""
        begun.set()
        release.wait()

    try:
        threads.submit(occupy)
        begun.wait()
        asked = asyncio.create_task(ask(app, path, method=method))
        while not threads._work_queue.qsize():  # noqa: ASYNC110 - until the work waits for the thread
            await asyncio.sleep(0)
        deletion = await ask(app, deleted, method="DELETE")
    finally:
        release.set()
    return await asked, deletion
