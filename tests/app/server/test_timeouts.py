"""When an idle connection is closed, second by second, and over a real socket."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.server.timeouts import IDLE, LOOK_S, Pace
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.sockets import connected, request
from tests.fakes import publish
from tests.processes import service
from tests.promises import allowed

KEEP_S = 5


@dataclass
class Seconds:
    """A loop whose clock goes from call to call."""

    now_s: float = 100.0
    due: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = field(default_factory=list)

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, call: Callable[..., None], *arguments: object) -> SimpleNamespace:
        self.due.append((self.now_s + delay_s, call, arguments))
        return SimpleNamespace(cancel=self.due.clear)

    def step(self) -> None:
        self.now_s, call, arguments = self.due.pop()
        call(*arguments)


class Client:
    """A connection that has been answered once."""

    def __init__(self, keep_s: int = KEEP_S) -> None:
        self.loop = Seconds()
        self.phase = IDLE
        self.cycle = SimpleNamespace(response_complete=True)
        self.answered = 1
        self.flow = SimpleNamespace(write_paused=False, read_paused=False)
        self.timeout_keep_alive = keep_s
        self.transport = SimpleNamespace(is_closing=lambda: False, get_write_buffer_size=lambda: 0)
        self.closed_after_s: float | None = None
        self._pace = Pace()
        self._pace.begin(self)  # type: ignore[arg-type] # it has what is looked at while it is idle

    def has_left(self) -> bool:
        return False

    def close_if_silent(self) -> None:
        self.closed_after_s = self.loop.now_s - 100

    def live(self, seconds: int, each: Callable[[], None] = lambda: None) -> float | None:
        for _ in range(seconds):
            each()
            self.loop.step()
            if self.closed_after_s is not None:
                break
        return self.closed_after_s


def test_connection_on_which_nothing_is_asked_is_closed_in_time() -> None:
    closed_after_s = Client().live(60)

    assert closed_after_s is not None
    assert KEEP_S < closed_after_s <= KEEP_S + 2 * LOOK_S


def test_f15_idle_connections_are_kept_longer_than_load_balancers_keep_them() -> None:
    """F15: who closes first must not be the service: a request that is on its way would be lost."""
    closed_after_s = Client(Settings().keep_alive_s).live(200)

    assert closed_after_s is not None
    assert 60 + 10 < closed_after_s < 80


def test_connection_on_which_something_is_asked_now_and_then_stays() -> None:
    client = Client()

    def ask() -> None:
        if client.loop.now_s % 4 == 0:
            client.answered += 1

    assert client.live(600, ask) is None
    assert client.live(60) is not None


def test_connection_that_waits_for_its_answer_stays() -> None:
    client = Client()
    client.cycle.response_complete = False

    assert client.live(600) is None

    client.cycle.response_complete, client.answered = True, 2
    assert client.live(60) is not None


@pytest.mark.slow
def test_f15_idle_connection_is_closed_by_the_service_after_the_time_of_its_setting(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    row, keep_s = b'{"instances": [[0.25, 0.75]]}', 10
    with (
        service(tmp_path, environment={"TABSERVE_KEEP_ALIVE_S": f"{keep_s}"}) as (client, _),
        connected(client.base_url) as idle,
        connected(client.base_url) as busy,
    ):
        idle.socket.settimeout(120)
        for connection in (idle, busy):
            connection.send(request(row, "/predict/means"))
            assert connection.answer().status == 200
        began = time.monotonic()
        while not select.select([idle.socket], [], [], 3)[0]:  # less than a connection is kept
            busy.send(request(row, "/predict/means"))
            assert busy.answer().status == 200
            assert time.monotonic() - began < keep_s + allowed(3)
        assert idle.socket.recv(1) == b""
        assert time.monotonic() - began > keep_s
        busy.send(request(row, "/predict/means"))
        assert busy.answer().status == 200
