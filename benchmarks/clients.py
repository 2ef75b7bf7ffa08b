"""A measuring HTTP client: non-blocking connections, polled without sleeping.

It must not know schedules. It owns a core, so it spins: a timer that wakes a millisecond late would be measured as the
server's latency.
"""

from __future__ import annotations

import gc
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import httptools

from benchmarks.requests import Request

Address = tuple[str, int]
_RECEIVE_BYTES = 1 << 18


class Failed(Exception):
    """A connection ended before its answer was complete."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; the body is kept only if wanted."""

    status: int
    body: bytes


class Connection:
    """One keep-alive connection with at most one request in flight.

    Attributes:
        reply: the answer, once it is complete.
    """

    def __init__(self, address: Address, *, keep: bool = False) -> None:
        self.reply: Reply | None = None
        self.socket = socket.create_connection(address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._keep = keep
        self._unsent = memoryview(b"")
        self._body: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    def send(self, wire: bytes) -> bool:
        """Send a request as far as the socket takes it, and return whether that was all of it."""
        self.reply = None
        self._unsent = memoryview(wire)
        return self.flush()

    def flush(self) -> bool:
        """Send on, and return whether all is sent."""
        with suppress(BlockingIOError):
            while self._unsent:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
        return not self._unsent

    def receive(self) -> None:
        """Take what has come.

        Raises:
            Failed: if the server closed the connection or does not speak HTTP.
        """
        try:
            data = self.socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise Failed(str(error)) from error
        if not data:
            raise Failed("closed by the server")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise Failed(str(error)) from error

    def on_body(self, data: bytes) -> None:
        """Receive a part of the body from the parser."""
        if self._keep:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """Note that the response is complete."""
        self.reply = Reply(self._parser.get_status_code(), b"".join(self._body))
        self._body = []

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


class Pool:
    """Connections under one selector.

    Attributes:
        free: those without a request in flight.
        idle_s: time spent on looking in vain; the rest of the time the client was busy.
    """

    def __init__(self, address: Address, size: int, *, keep: bool = False) -> None:
        self.idle_s = 0.0
        self._selector = selectors.DefaultSelector()
        self.free: deque[Connection] = deque()
        for _ in range(size):
            connection = Connection(address, keep=keep)
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)
            self.free.append(connection)

    def send(self, wire: bytes) -> Connection:
        """Send a request on a free connection and return it."""
        connection = self.free.popleft()
        self._send(connection, wire)
        return connection

    def poll(self, connections: list[Connection]) -> None:
        """Put the connections whose answers have become complete on the list, and make them free.

        One that broke off comes with status 0 and is not used again.
        """
        began = time.perf_counter()
        events = self._selector.select(0)
        if not events:
            self.idle_s += time.perf_counter() - began
        for key, mask in events:
            connection: Connection = key.data
            if mask & selectors.EVENT_WRITE and connection.flush():
                self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
            if mask & selectors.EVENT_READ:
                try:
                    connection.receive()
                except Failed:
                    connection.reply = Reply(0, b"")
                    connections.append(connection)
                    self._selector.unregister(connection.socket)
                    connection.close()
                    continue
                if connection.reply is not None:
                    connections.append(connection)
                    self.free.append(connection)

    def close(self) -> None:
        """Close all connections."""
        for key in list(self._selector.get_map().values()):
            key.data.close()
        self._selector.close()

    def _send(self, connection: Connection, wire: bytes) -> None:
        if not connection.send(wire):
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.modify(connection.socket, both, connection)


@contextmanager
def pool(address: Address, size: int, *, keep: bool = False) -> Iterator[Pool]:
    """Open connections, keep the garbage collector out while they are used, and close them."""
    connections = Pool(address, size, keep=keep)
    gc.collect()
    gc.disable()
    try:
        yield connections
    finally:
        gc.enable()
        connections.close()


def ask(address: Address, request: Request, timeout_s: float = 60.0) -> Reply:
    """Send one request on a connection of its own and return the answer.

    Raises:
        Failed: if none came.
        OSError: if nothing listens.
    """
    connection = Connection(address, keep=True)
    try:
        wire, deadline = request.wire(), time.monotonic() + timeout_s
        sent = connection.send(wire)
        while connection.reply is None:
            if time.monotonic() > deadline:
                raise Failed("no answer in time")
            sent = sent or connection.flush()
            connection.receive()
        return connection.reply
    finally:
        connection.close()
