from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from benchmarks.clients import Address, Failed
from benchmarks.requests import Request
from benchmarks.streaming import stream
from tests.benchmarks.conftest import listening


class Line(asyncio.Protocol):
    """Answers every part of a body with a line as soon as it comes: /bad with 500, /cut not to the end."""

    def __init__(self) -> None:
        self.unread = b""
        self.begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.unread += data
        if not self.begun and b"\r\n\r\n" in self.unread:
            head, _, self.unread = self.unread.partition(b"\r\n\r\n")
            self.begun, self.cut = True, b"/cut" in head
            self.transport.write(b"HTTP/1.1 %b\r\n" % (b"500 No" if b"/bad" in head else b"200 OK"))
            self.transport.write(b"transfer-encoding: chunked\r\n\r\n")
        while self.begun and self.unread.startswith(b"2\r\nx\n\r\n"):
            self.unread = self.unread[7:]
            self.transport.write(b"2\r\ny\n\r\n")
        if self.unread == b"0\r\n\r\n":
            self.transport.close() if self.cut else self.transport.write(b"0\r\n\r\n")


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    with listening(Line) as found:
        yield found


def request(path: str) -> Request:
    return Request(path, b"x\n", 1, "text/csv")


def test_lines_of_the_answer_are_counted(address: Address) -> None:
    assert stream(address, request("/"), [b"x\n"] * 3000).lines == 3000


def test_answer_that_begins_before_the_body_ends_is_seen_to(address: Address) -> None:
    answered = threading.Event()

    def parts() -> Iterator[bytes]:
        yield b"x\n"
        assert answered.wait(120)  # set below, by the answer to this part
        yield b"x\n"

    found = stream(address, request("/"), parts(), begun=answered.set)

    assert 0 < found.first_answer_s < found.last_sent_s <= found.elapsed_s


@pytest.mark.parametrize(("path", "reason"), [("/bad", "answered 500"), ("/cut", "broke off")])
def test_answer_that_is_none_has_failed(address: Address, path: str, reason: str) -> None:
    with pytest.raises(Failed, match=reason):
        stream(address, request(path), [b"x\n"] * 10)
