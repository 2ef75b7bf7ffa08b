"""Clients that send or read too slowly, or go away in between: cut off, and nobody else notices (S-19, F-18)."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.sockets import GOOD, Connection, connected, request
from tests.app.waiting import until
from tests.attacks.conftest import Guarded, store_in
from tests.attacks.measuring import open_files, resident_bytes
from tests.processes import service

pytestmark = pytest.mark.slow

TIMEOUT_S = 1.0
LATEST_S = TIMEOUT_S + 3  # each connection looks at itself once a second, and this machine does other things, too
HEAD = b"POST /predict/iris HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Run a service that waits a second for slow clients, without keys."""
    folder = tmp_path_factory.mktemp("hasty")
    store_in(folder)
    environment = {"TABSERVE_RECEIVE_TIMEOUT_S": f"{TIMEOUT_S}", "TABSERVE_SEND_TIMEOUT_S": f"{TIMEOUT_S}"}
    with service(folder, environment=environment) as (client, process):
        yield Guarded(client, process.pid, {}, None, folder / "service.log")  # type: ignore[arg-type] # no keys


def seconds_until_closed(connection: Connection, *, send: bytes = b"") -> tuple[float, bytes]:
    """Send a byte now and again until the service closes; return how long it took and what it said."""
    began = time.monotonic()
    connection.socket.settimeout(0.1)
    received = b""
    while time.monotonic() - began < 10:
        with contextlib.suppress(TimeoutError):
            try:
                part = connection.socket.recv(1 << 16)
            except ConnectionError:
                part = b""
            if not part:
                return time.monotonic() - began, received
            received += part
        with contextlib.suppress(OSError):
            connection.socket.sendall(send)
    raise AssertionError("the connection stays open")


SLOW: dict[str, tuple[bytes, bytes]] = {
    "nothing": (b"", b""),
    "a byte": (b"P", b""),
    "half a head": (HEAD, b""),
    "a head byte by byte": (HEAD + b"x: ", b"a"),
    "headers one by one": (HEAD, b"x: y\r\n"),
    "no body": (HEAD + b"content-length: 100\r\n\r\n", b""),
    "half a body": (HEAD + b"content-length: 100\r\n\r\n{", b""),
    "a body byte by byte": (HEAD + b"content-length: 100000\r\n\r\n", b" "),
    "a large body byte by byte": (HEAD + b"content-length: 1000000\r\n\r\n", b" "),
    "chunks byte by byte": (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a chunk without an end": (HEAD + b"transfer-encoding: chunked\r\n\r\n1", b"0"),
    "a body that nobody wants": (HEAD.replace(b"iris", b"wine") + b"content-length: 60000\r\n\r\n", b" "),
}


@pytest.mark.slow
@pytest.mark.parametrize(("begin", "more"), SLOW.values(), ids=SLOW.keys())
def test_slow_client_is_cut_off_in_time(begin: bytes, more: bytes, hasty: Guarded) -> None:
    with connected(hasty.url) as connection:
        connection.send(begin)
        took_s, received = seconds_until_closed(connection, send=more)

    assert took_s < LATEST_S
    assert not received or received[9:12] in (b"408", b"404", b"400")


def test_client_that_never_ends_its_head_is_told_so(hasty: Guarded) -> None:
    with connected(hasty.url) as connection:
        connection.send(HEAD)
        took_s, received = seconds_until_closed(connection)

    assert received[9:12] == b"408"
    assert TIMEOUT_S * 0.9 < took_s < LATEST_S


@pytest.mark.slow
def test_body_that_comes_fast_enough_may_take_longer_than_the_timeout(hasty: Guarded) -> None:
    body = GOOD.ljust(600_000)
    with connected(hasty.url) as connection:
        connection.send(HEAD + b"content-length: %d\r\n\r\n" % len(body))
        for place in range(0, len(body), 20_000):
            connection.send(body[place : place + 20_000])
            time.sleep(0.08)  # not to synchronise: this is how fast the client is
        assert connection.answer().status == 200


@pytest.mark.slow
def test_client_that_does_not_read_its_answer_is_cut_off(hasty: Guarded) -> None:
    rows = b"5.1,3.5,1.4,0.2\n" * 400_000
    head = b"POST /predict/iris HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/csv\r\n"
    files = open_files(hasty.pid)
    with connected(hasty.url) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with contextlib.suppress(OSError):
            connection.send(head + b"content-length: %d\r\n\r\n" % len(rows), rows)
        until(lambda: open_files(hasty.pid) <= files, "the service lets the connection go", 20)


@pytest.mark.slow
def test_healthy_clients_do_not_notice_hundreds_of_slow_ones(hasty: Guarded) -> None:
    files, stop, failures = open_files(hasty.pid), threading.Event(), list[str]()

    def attack(begin: bytes, more: bytes) -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError), connected(hasty.url) as connection:
                connection.send(begin)
                seconds_until_closed(connection, send=more)

    def predict() -> None:
        with connected(hasty.url) as connection:
            while not stop.is_set():
                connection.send(request())
                if connection.answer().status != 200:
                    failures.append("refused")

    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connected(hasty.url))
        threads = [threading.Thread(target=attack, args=slow) for slow in list(SLOW.values()) * 6]
        threads += [threading.Thread(target=predict) for _ in range(4)]
        for thread in threads:
            thread.start()
        stop.wait(6)
        stop.set()
        for thread in threads:
            thread.join(20)

    assert failures == []
    until(lambda: open_files(hasty.pid) <= files + 10, "the connections are gone")


@pytest.mark.slow
def test_idle_connections_make_room_for_new_ones(tmp_path: Path) -> None:
    store_in(tmp_path)
    few = {"TABSERVE_MAX_CONNECTIONS": "20"}
    with service(tmp_path, environment=few) as (client, process), contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(connected(client.base_url))
        for _ in range(10):
            with connected(client.base_url) as connection:
                connection.send(request())
                assert connection.answer().status == 200
        assert open_files(process.pid) < 60


@pytest.mark.slow
def test_thousands_of_clients_that_go_away_leave_nothing(hasty: Guarded) -> None:
    message, chance = request(GOOD.ljust(5000)), random.Random(6)
    with connected(hasty.url) as connection:
        connection.send(request())
        connection.answer()
    files, memory = open_files(hasty.pid), resident_bytes(hasty.pid)
    for number in range(3000):
        with connected(hasty.url) as connection:
            connection.send(message[: chance.randrange(len(message))])
            if number % 2:
                connection.reset()
    until(lambda: open_files(hasty.pid) <= files + 5, "the connections are gone")
    assert resident_bytes(hasty.pid) - memory < 16 << 20
    in_progress = "tabserve_http_requests_in_progress 1.0"  # the request that asks
    until(lambda: in_progress in hasty.client.get("/metrics").text, "nothing is in progress")
    assert "Traceback" not in hasty.log.read_text()
