"""Receive the message of a call in bounded time, and few large ones at a time.

gRPC tells no size before a message is complete, and takes no more than 64 KiB of it before it is asked for.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from app.server.rpc.translation import WrongMessage
from app.settings import Settings


class MessageLate(Exception):
    """The message of a call did not arrive in time; the text says in which."""


class Receiver:
    """Receives messages of all calls of a process."""

    def __init__(self, settings: Settings, most_bytes: int) -> None:
        self._limit_s = settings.receive_timeout_s + most_bytes / settings.receive_rate
        self._room = asyncio.Semaphore(max(1, settings.max_bytes_held // most_bytes))

    async def receive(self, context: Any) -> bytes:
        """Return the message of a call, given as gRPC's `ServicerContext`.

        Raises:
            WrongMessage: if the client ends the call without one.
            MessageLate.
        """
        try:
            async with asyncio.timeout(self._limit_s), self._room:
                message = await context.read()
        except TimeoutError as error:
            raise MessageLate(f"the message did not arrive within {self._limit_s:.0f} seconds") from error
        if message is grpc.aio.EOF:
            raise WrongMessage("the call needs a message")
        return bytes(message)
