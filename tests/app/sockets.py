"""A client with control of every byte and packet, for what no HTTP library sends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.app.waiting import until

DEADLINE_S = 120.0
GOOD = b'{"instances": [[0.25, 0.5, 0.75, 1.0]]}'
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """An answer as it came, the body unchunked."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One TCP connection to the service."""

    def __init__(self, base_url: httpx.URL) -> None:
        self.socket = socket.create_connection((base_url.host, base_url.port or 80), timeout=DEADLINE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()

    def send(self, *packets: bytes) -> None:
        """Send each as a packet of its own."""
        for packet in packets:
            self.socket.sendall(packet)

    def answer(self) -> Answer:
        """Read one answer to its end, which its own framing tells; EOFError if the connection ends before."""
        status, headers = self.head()
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, b"".join(iter(self.chunk, b"")))
        return Answer(status, headers, self._take(int(headers.get("content-length", 0))))

    def head(self) -> tuple[int, dict[str, str]]:
        """Read status and headers of an answer; a header that is there twice fails."""
        first, *lines = self._line(b"\r\n\r\n").decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/1.1 "), first
        pairs = [line.split(": ", 1) for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), lines
        return int(first.split(" ")[1]), headers

    def chunk(self) -> bytes:
        """Read a chunk of a body; the last one is empty."""
        chunk = self._take(int(self._line(b"\r\n"), 16))
        assert self._take(2) == b"\r\n"
        return chunk

    def rest(self) -> bytes:
        """Read all until the service closes the connection."""
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                self._receive()
        return bytes(self._received)

    def reset(self) -> None:
        """Close without a goodbye, so that the service sees the connection lost at once."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _line(self, end: bytes) -> bytes:
        while end not in self._received:
            self._receive()
        line = self._take(self._received.index(end) + len(end))
        return line.removesuffix(end)

    def _take(self, count: int) -> bytes:
        while len(self._received) < count:
            self._receive()
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def _receive(self) -> None:
        part = self.socket.recv(1 << 16)
        if not part:
            raise EOFError
        self._received += part


@contextlib.contextmanager
def connected(base_url: httpx.URL) -> Iterator[Connection]:
    """Open a connection and close it in the end."""
    connection = Connection(base_url)
    try:
        yield connection
    finally:
        connection.socket.close()


def answered_first(*connections: Connection) -> bool:
    """Return whether something has come on one of these connections."""
    return bool(select.select([connection.socket for connection in connections], [], [], 0)[0])


@contextlib.contextmanager
def held_still(pid: int) -> Iterator[None]:
    """Stop a process as long as the block lasts: it finds all that is sent meanwhile at once, in this order.

    So requests meet in a batch or a queue however slowly this machine lets their clients send. Connections that have
    been answered before are known to the process; it accepts others first.
    """
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: "\nState:\tT" in Path(f"/proc/{pid}/status").read_text(), "the process has stopped")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def request(
    body: bytes = GOOD,
    path: str = "/predict/iris",
    headers: Mapping[str, str] = JSON,
    *,
    method: str = "POST",
    protocol: str = "HTTP/1.1",
) -> bytes:
    """Return a request with a content length."""
    lines = [f"{method} {path} {protocol}", "host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode("latin-1") + body


def chunked(*chunks: bytes, path: str = "/predict/iris", headers: Mapping[str, str] = JSON) -> list[bytes]:
    """Return the packets of a chunked request: its head, its chunks, its end."""
    lines = [f"POST {path} HTTP/1.1", "host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join([*lines, "transfer-encoding: chunked", "", ""]).encode()
    return [head, *(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks), b"0\r\n\r\n"]
