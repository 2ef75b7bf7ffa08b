"""Requests at a rate that does not wait for answers, in a process of their own.

`python -m tests.attacks.crowd PORT RATE CLIENTS SECONDS` reads the request from standard input and prints as JSON what
became of it. With rate 0 that many clients ask one after the other instead, which is what the service can do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import time

READ_AT_ONCE = 1 << 20


class Crowd:
    """Reused connections, and the responses on them."""

    def __init__(self, port: int, message: bytes) -> None:
        self._port = port
        self._message = message
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.good_s: list[float] = []
        self.refused_s: list[float] = []
        self.offered = 0

    async def ask(self) -> None:
        """Send one request, on a free connection or a new one."""
        self.offered += 1
        began = time.perf_counter()
        reader, writer = self._idle.pop() if self._idle else await self._connection()
        try:
            writer.write(self._message)
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            length = next(int(line[16:]) for line in lines if line.startswith(b"content-length: "))
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
            return
        took_s = time.perf_counter() - began
        if head[9:12] == b"200":
            self.good_s.append(took_s)
        else:
            assert head[9:12] in (b"429", b"503"), head
            assert b"\r\nretry-after: " in head.lower(), head
            self.refused_s.append(took_s)
        if b"connection: close" in lines:
            writer.close()
        else:
            self._idle.append((reader, writer))

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port, limit=READ_AT_ONCE)

    async def at_rate(self, rate: int, seconds: float) -> None:
        """Send requests at fixed times, without waiting for earlier ones."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with asyncio.TaskGroup() as tasks:
            for number in range(round(rate * seconds)):
                if (ahead_s := start + number / rate - loop.time()) > 0:
                    await asyncio.sleep(ahead_s)
                elif number / rate + ahead_s > seconds:
                    return
                tasks.create_task(self.ask())

    async def in_turns(self, clients: int, seconds: float) -> None:
        """Run clients that each send one request after the other."""
        last = time.monotonic() + seconds

        async def client() -> None:
            while time.monotonic() < last:
                await self.ask()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(clients):
                tasks.create_task(client())


def p99_ms(took_s: list[float]) -> float:
    """Return the 99th percentile of the times; 0 for fewer than two."""
    return statistics.quantiles(took_s, n=100)[98] * 1000 if len(took_s) > 1 else 0.0


async def main(port: int, rate: int, clients: int, seconds: int) -> None:
    """Send requests for some seconds and print the results."""
    crowd = Crowd(port, sys.stdin.buffer.read())
    began = time.monotonic()
    await (crowd.at_rate(rate, seconds) if rate else crowd.in_turns(clients, seconds))
    took_s = time.monotonic() - began
    found = {
        "offered": crowd.offered / took_s,
        "goodput": len(crowd.good_s) / took_s,
        "refused": len(crowd.refused_s) / took_s,
        "p99_ms": p99_ms(crowd.good_s),
        "refused_p99_ms": p99_ms(crowd.refused_s),
    }
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*map(int, sys.argv[1:])))
