"""Clients that send or read too slowly, by the hundred, in a process of their own.

`python -m tests.attacks.swarm PORT IDLE SLOW DEAF SECONDS` prints as JSON how many connections there were, how many
were cut off, and what was the longest that one lasted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from dataclasses import asdict, dataclass

HEAD = b"POST /predict/iris HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
SENDERS = ((b"P", b"O"), (HEAD, b"a"), (HEAD + b"x: ", b"a"), (HEAD + b"content-length: 100000\r\n\r\n", b" "))
LARGE_ANSWER = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: localhost\r\n\r\n"
PAUSE_S = 0.4


@dataclass
class Tally:
    """The ends of the connections."""

    opened: int = 0
    cut_off: int = 0
    longest_s: float = 0.0


async def attack(port: int, begin: bytes, more: bytes, until_s: float, tally: Tally, *, deaf: bool) -> None:
    """Open a connection, send a byte occasionally, and reconnect when it is closed."""
    loop = asyncio.get_running_loop()
    while loop.time() < until_s:
        with socket.socket() as client, contextlib.suppress(OSError):
            client.setblocking(False)
            if deaf:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(client, ("127.0.0.1", port))
            tally.opened += 1
            began = time.monotonic()
            await loop.sock_sendall(client, begin)
            await _cut_off(client, more, until_s, deaf=deaf)
            if loop.time() < until_s:
                tally.cut_off += 1
                tally.longest_s = max(tally.longest_s, time.monotonic() - began)
        await asyncio.sleep(PAUSE_S / 4)  # do not send thousands of requests a second to a service that refuses at once


async def _cut_off(client: socket.socket, more: bytes, until_s: float, *, deaf: bool) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while loop.time() < until_s:
            if deaf:  # detects a reset connection without reading from it
                await asyncio.sleep(PAUSE_S)
                if client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    return
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_S):
                    if not await loop.sock_recv(client, 4096):
                        return
            if more:
                await loop.sock_sendall(client, more)


async def main(port: int, idle: int, slow: int, deaf: int, seconds: int) -> Tally:
    """Attack for some seconds."""
    tally, until_s = Tally(), asyncio.get_running_loop().time() + seconds
    async with asyncio.TaskGroup() as tasks:
        for number in range(idle + slow + deaf):
            begin, more = (b"", b"") if number < idle else SENDERS[number % len(SENDERS)]
            is_deaf = number >= idle + slow
            sent = (LARGE_ANSWER, b"") if is_deaf else (begin, more)
            tasks.create_task(attack(port, *sent, until_s, tally, deaf=is_deaf))
    return tally


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(main(*map(int, sys.argv[1:]))))))  # noqa: T201
