"""One request whose body is produced while its answer is read.

It must not know what the lines mean.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import httptools

from benchmarks.clients import Address, Failed
from benchmarks.requests import Request

_RECEIVE_BYTES = 1 << 18
_DEADLINE_S = 600.0
_END = b"0\r\n\r\n"


@dataclass(frozen=True)
class Streamed:
    """When things happened, in seconds from the start of the request.

    Attributes:
        lines: line feeds in the body of the answer.
        first_answer_s: its first bytes came.
        last_sent_s: the last bytes of the request were about to leave.
        elapsed_s: all of the answer was there.
    """

    lines: int
    first_answer_s: float
    last_sent_s: float
    elapsed_s: float


def stream(
    address: Address, request: Request, parts: Iterable[bytes], *, begun: Callable[[], object] = bool
) -> Streamed:
    """Send the parts as the body of a request, and read the answer meanwhile.

    Args:
        address: of the server.
        request: its path and headers; its own body is not sent.
        parts: of the body, none empty; asked for one by one, as the server takes them.
        begun: called when the first bytes of the answer have come.

    Raises:
        Failed: if the answer is not 200, or breaks off.
    """
    with socket.create_connection(address, timeout=_DEADLINE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sending = _Sending(connection, request.chunked_head(), parts)
        answer = _Answer(sending.began, begun)
        sending.start()
        while not answer.complete:
            try:
                answer.take(connection.recv(_RECEIVE_BYTES))
            except (OSError, httptools.HttpParserError) as error:
                raise Failed(f"the answer broke off: {error}") from error
        sending.join()
    return Streamed(answer.lines, answer.first_s, sending.last_s, answer.elapsed_s)


class _Sending(threading.Thread):
    """Sends the body; the socket makes it wait for the server."""

    def __init__(self, connection: socket.socket, head: bytes, parts: Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self.began = time.perf_counter()
        self.last_s = 0.0
        self._connection = connection
        self._head = head
        self._parts = parts

    def run(self) -> None:
        """Send head, parts and end; a connection that is lost is for the reader to report."""
        try:
            self._connection.sendall(self._head)
            for part in self._parts:
                self._connection.sendall(b"%x\r\n%b\r\n" % (len(part), part))
            self.last_s = time.perf_counter() - self.began
            self._connection.sendall(_END)
        except OSError:
            return


class _Answer:
    """Counts the lines of an answer, and drops them."""

    def __init__(self, began: float, begun: Callable[[], object]) -> None:
        self.lines = 0
        self.first_s = 0.0
        self.elapsed_s = 0.0
        self.complete = False
        self._began = began
        self._begun = begun
        self._parser = httptools.HttpResponseParser(self)

    def take(self, data: bytes) -> None:
        """Take what has come."""
        if not data:
            raise Failed("the answer broke off: closed by the server")
        self._parser.feed_data(data)
        if self._parser.get_status_code() != 200:
            raise Failed(f"answered {self._parser.get_status_code()}: {data[-300:]!r}")

    def on_body(self, data: bytes) -> None:
        """Receive a part of the body from the parser."""
        if not self.first_s:
            self.first_s = time.perf_counter() - self._began
            self._begun()
        self.lines += data.count(b"\n")

    def on_message_complete(self) -> None:
        """Note that the response is complete."""
        self.elapsed_s = time.perf_counter() - self._began
        self.complete = True
