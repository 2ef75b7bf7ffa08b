"""Responses that are sent in several parts.

They replace Starlette's streaming response, which reads the request concurrently with the route.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import BinaryIO

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


class FileResponse(Response):
    """An open file, which is read piece by piece while it is sent, and closed at the end."""

    def __init__(self, stream: BinaryIO, size: int, headers: Mapping[str, str]) -> None:
        super().__init__(media_type="application/octet-stream", headers=headers)
        self._stream = stream
        self.headers["content-length"] = str(size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while piece := await asyncio.to_thread(self._stream.read, _JOINED_BYTES):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._stream.close()


class BlocksResponse(Response):
    """A body of unknown length that is produced while it is sent.

    Many clients send their whole request before they read a byte. Blocks are therefore still produced while sending
    waits, until `max_waiting_bytes` are buffered. With a client that reads while it sends, hardly anything is buffered.
    """

    def __init__(self, media_type: str, blocks: AsyncIterator[bytes], max_waiting_bytes: int) -> None:
        super().__init__(media_type=media_type)
        self._blocks = blocks
        self._queue = _BlockQueue(max_waiting_bytes)
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the blocks as they come; after an exception the body stays unterminated, so that clients notice."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        producing = asyncio.create_task(self._produce())
        try:
            while (block := await self._queue.take()) is not None:
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await producing
        except ClientDisconnect:
            return  # the client has disconnected
        finally:
            producing.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _produce(self) -> None:
        try:
            async for block in self._blocks:
                await self._queue.add(block)
        finally:
            self._queue.end()


class _BlockQueue:
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
            await self._wait_for_change()
        self._blocks.append(block)
        self._size += len(block)
        self._changed.set()

    async def take(self) -> bytes | None:
        """Wait for data and return all buffered blocks as one; None at the end."""
        while not self._blocks and not self._ended:
            await self._wait_for_change()
        if not self._blocks:
            return None
        taken, self._blocks, self._size = b"".join(self._blocks), [], 0
        self._changed.set()
        return taken

    def end(self) -> None:
        """Mark the end of the blocks."""
        self._ended = True
        self._changed.set()

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
