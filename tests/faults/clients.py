"""Many clients that send requests, on and on or at a fixed rate, and record every failure."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import httpx

from tests.app.sockets import request
from tests.faults.scenes import ROW

ANSWER = b"0.5"
ASKED = request(b'{"instances": [[0.25, 0.75]]}', "/predict/means")


@dataclass(frozen=True)
class Failure:
    """A request without an answer: when it was sent and when it failed, who had answered on its connection, and how."""

    sent: float
    failed: float
    worker: str | None
    how: str


@dataclass
class Clients:
    """Clients that keep their connections, each asking again after a pause.

    Attributes:
        answers: how many, by status.
        workers: when each worker, named by its request ids, answered for the first time.
        failures: see there; a connection that was closed while nothing was asked is none.
        advice: the Retry-After of answers other than 200.
    """

    base_url: httpx.URL
    clients: int
    pause_s: float
    answers: Counter[int] = field(default_factory=Counter)
    workers: dict[str, float] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    advice: Counter[str | None] = field(default_factory=Counter)

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Send requests until the block ends."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask()) for _ in range(self.clients)]
            yield
            for task in tasks:
                task.cancel()

    async def ask_anew(self) -> None:
        """Send one request on a new connection, which any worker may accept."""
        with contextlib.suppress(OSError, EOFError):
            reader, writer = await asyncio.open_connection(self.base_url.host, self.base_url.port)
            with contextlib.closing(writer):
                await self._answer(reader, writer)

    async def _ask(self) -> None:
        while True:
            sent, worker = time.monotonic(), None
            try:
                reader, writer = await asyncio.open_connection(self.base_url.host, self.base_url.port)
            except OSError as error:
                self.failures.append(Failure(sent, time.monotonic(), None, repr(error)))
                await asyncio.sleep(self.pause_s)
                continue
            try:
                while not reader.at_eof() and reader.exception() is None:
                    sent = time.monotonic()
                    worker = await self._answer(reader, writer)
                    await asyncio.sleep(self.pause_s)
            except (OSError, EOFError) as error:
                self.failures.append(Failure(sent, time.monotonic(), worker, repr(error)))
            finally:
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.write(ASKED)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        status, *lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        body = await reader.readexactly(int(headers["content-length"]))
        code = int(status.split(" ")[1])
        assert code != 200 or ANSWER in body, body
        worker = headers["x-request-id"][:8]
        self.answers[code] += 1
        if code != 200:
            self.advice[headers.get("retry-after")] += 1
        self.workers.setdefault(worker, time.monotonic())
        return worker


@dataclass
class Load:
    """Clients that keep their connections and together send requests at a fixed rate, whatever the latency."""

    address: str
    rate_per_s: float
    clients: int = 16
    timeout_s: float = 30.0
    answered: int = 0
    failures: list[Failure] = field(default_factory=list)
    slowest_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _done: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Send requests until the block ends."""
        threads = [
            threading.Thread(target=self._ask, args=(number / self.rate_per_s,)) for number in range(self.clients)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            for thread in threads:
                thread.join()

    def _ask(self, offset_s: float) -> None:
        due = time.monotonic() + offset_s
        with httpx.Client(base_url=self.address, timeout=self.timeout_s) as client:
            while not self._done.wait(max(0.0, due - time.monotonic())):
                due += self.clients / self.rate_per_s
                sent = time.monotonic()
                try:
                    answer = client.post("/predict/means", json=ROW)
                    wrong = "" if answer.status_code == 200 else f"{answer.status_code} {answer.text}"
                except httpx.TransportError as error:
                    wrong = repr(error)
                self._note(sent, wrong)

    def _note(self, sent: float, wrong: str) -> None:
        ended = time.monotonic()
        with self._lock:
            self.answered += 1
            self.slowest_s = max(self.slowest_s, ended - sent)
            if wrong:
                self.failures.append(Failure(sent, ended, None, wrong))
