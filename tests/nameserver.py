"""A name server for tests: answers every question with the addresses that it holds now."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Sequence

_HEAD = struct.Struct("!6H")
_ADDRESS = struct.Struct("!HHHIH4s")
_RESPONSE = 0x8180
_POINTER_TO_NAME = 0xC00C
_LIFETIME_S = 600  # longer than any test: clients must ask again nevertheless


class NameServer:
    """Answers on a UDP port of the loopback address.

    Attributes:
        addresses: what it answers; may be changed at any time.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = tuple(addresses)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))

    @property
    def address(self) -> str:
        """Return the server's address, as host:port."""
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Answer queries until the block ends."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ender:
                ender.sendto(b"", self._socket.getsockname())
            thread.join()
            self._socket.close()

    def _run(self) -> None:
        while True:
            question, client = self._socket.recvfrom(512)
            if not question:
                return
            self._socket.sendto(_answer(question, self.addresses), client)


def _answer(question: bytes, addresses: Sequence[str]) -> bytes:
    (number,) = struct.unpack_from("!H", question)
    asked = question[_HEAD.size : question.index(b"\0", _HEAD.size) + 5]  # name, type and class
    records = [_ADDRESS.pack(_POINTER_TO_NAME, 1, 1, _LIFETIME_S, 4, socket.inet_aton(a)) for a in addresses]
    return _HEAD.pack(number, _RESPONSE, 1, len(records), 0, 0) + asked + b"".join(records)
