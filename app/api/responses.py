"""Responses that are sent in several parts.

They replace Starlette's streaming response, which reads the request concurrently with the route.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from fastapi import Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

_JOINED_BYTES = 256 << 10


class PartsResponse(Response):
    """A complete body in several parts; they are joined unless joining takes longer than sending them separately."""

    def __init__(self, parts: Sequence[bytes], media_type: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(media_type=media_type, headers=headers)
        size = sum(map(len, parts))
        self._parts = [b"".join(parts)] if size <= _JOINED_BYTES else parts
        self.headers["content-length"] = str(size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the parts."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for part in self._parts[:-1]:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": self._parts[-1]})


class BlocksResponse(Response):
    """A body of unknown length that is produced while it is sent.

    Many clients send their whole request before they read a byte. Blocks are therefore still produced while sending
    waits, until `max_waiting_bytes` are buffered. With a client that reads while it sends, hardly anything is buffered.
    """

    def __init__(self, media_type: str, blocks: AsyncIterator[bytes], max_waiting_bytes: int) -> None:
        super().__init__(media_type=media_type)
        self._blocks = blocks
        self._waiting = _Waiting(max_waiting_bytes)
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the blocks as they come; after an exception the body stays unterminated, so that clients notice."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        making = asyncio.create_task(self._make())
        try:
            while (block := await self._waiting.take()) is not None:
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await making
        except ClientDisconnect:
            return  # the client has disconnected
        finally:
            making.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _make(self) -> None:
        try:
            async for block in self._blocks:
                await self._waiting.add(block)
        finally:
            self._waiting.end()


class _Waiting:
    """A queue of blocks from one task to another, bounded in bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._blocks: list[bytes] = []
        self._size = 0
        self._ended = False
        self._changed = asyncio.Event()

    async def add(self, block: bytes) -> None:
        """Add a block as soon as there is room."""
        while self._size and self._size + len(block) > self._limit_bytes:
            await self._change()
        self._blocks.append(block)
        self._size += len(block)
        self._changed.set()

    async def take(self) -> bytes | None:
        """Wait for data and return all buffered blocks as one; None at the end."""
        while not self._blocks and not self._ended:
            await self._change()
        if not self._blocks:
            return None
        taken, self._blocks, self._size = b"".join(self._blocks), [], 0
        self._changed.set()
        return taken

    def end(self) -> None:
        """Mark the end of the blocks."""
        self._ended = True
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
