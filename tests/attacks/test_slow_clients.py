"""Clients that are too slow or leave: disconnected, without effect on others (S-19, F-18)."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.sockets import GOOD, Connection, connected, request
from tests.app.telemetry.figures import in_progress
from tests.app.waiting import until
from tests.attacks.conftest import Guarded, keyless, store_in
from tests.attacks.measuring import Asking, inspector_of, open_files, resident_bytes, threads_of
from tests.faults.scenes import rounds
from tests.processes import service
from tests.promises import Measured, allowed

pytestmark = pytest.mark.slow

TIMEOUT_S = 1.0
LATEST_S = TIMEOUT_S + allowed(2)  # each connection is checked once a second
HEAD = b"POST /predict/iris HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Run a service that waits a second for slow clients, without keys."""
    settings = {"TABSERVE_RECEIVE_TIMEOUT_S": f"{TIMEOUT_S}", "TABSERVE_SEND_TIMEOUT_S": f"{TIMEOUT_S}"}
    with keyless(tmp_path_factory.mktemp("hasty"), settings) as hasty:
        until(lambda: inspector_of(hasty.pid), "all files are open that stay open")
        yield hasty


def seconds_until_closed(connection: Connection, *, send: bytes = b"") -> tuple[float, bytes]:
    """Send a byte occasionally until the service closes; return the duration and the response."""
    began = time.monotonic()
    connection.socket.settimeout(0.1)
    received = b""
    while time.monotonic() - began < 2 * LATEST_S:
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
            time.sleep(0.08)  # not to synchronise: this is the speed of the client
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
        until(lambda: open_files(hasty.pid) <= files, "the service lets the connection go")


@pytest.mark.alone
@pytest.mark.slow
def test_healthy_clients_do_not_notice_hundreds_of_slow_ones(hasty: Guarded, measured: Measured) -> None:
    """S-19: eight seconds with half of the connections; long: a minute with all of them."""
    idle, slow, deaf, seconds = rounds(500, 1000), rounds(250, 500), rounds(50, 100), rounds(8, 60)
    files = open_files(hasty.pid)
    with predicting(hasty, 8) as alone:
        time.sleep(3)  # so long it is measured
    numbers = map(str, (hasty.url.port, idle, slow, deaf, seconds))
    with predicting(hasty, 8) as beside:
        swarm = subprocess.run([sys.executable, "-m", "tests.attacks.swarm", *numbers], capture_output=True, check=True)
    tally = json.loads(swarm.stdout)
    until(lambda: open_files(hasty.pid) <= files + 10, "the connections are gone")

    before_ms, beside_ms = p99_ms(alone), p99_ms(beside)
    assert [client.wrong for client in beside] == [0] * 8
    assert tally["cut_off"] >= idle + slow
    assert tally["longest_s"] < LATEST_S
    assert beside_ms < max(2 * before_ms, allowed(20))
    figures = f"p99 of 8 healthy clients {before_ms:.1f} ms before, {beside_ms:.1f} ms beside, 0 failures"
    late_s = tally["longest_s"] - TIMEOUT_S
    measured(
        "S-19", f"{idle} idle, {slow} slow, {deaf} deaf: all cut off {late_s:.1f} s after their deadline; {figures}"
    )


@contextlib.contextmanager
def predicting(service: Guarded, clients: int) -> Iterator[list[Asking]]:
    """Run clients that predict, each on its own connection."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(service.url)) for _ in range(clients)]
        yield [stack.enter_context(Asking(connection, request())) for connection in connections]


def p99_ms(clients: list[Asking]) -> float:
    took_s = [took_s for client in clients for took_s in client.took_s]
    return statistics.quantiles(took_s, n=100)[98] * 1000


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
def test_thousands_of_clients_that_go_away_leave_nothing(hasty: Guarded, measured: Measured) -> None:
    """F-18: 1,000 connections on each way; long: 5,000. At any byte, by FIN and by RST, while others are answered."""
    count, chance = rounds(1000, 5000), random.Random(6)
    with predicting(hasty, 8):
        time.sleep(1)  # memory of the first requests of many clients is not a leak
    files, memory, threads = open_files(hasty.pid), resident_bytes(hasty.pid), threads_of(hasty.pid)
    with predicting(hasty, rounds(8, 64)) as healthy:
        for path in ("/predict/iris", "/predict/iris?"):
            message = request(GOOD.ljust(5000), path)
            for number in range(count):
                with connected(hasty.url) as connection:
                    connection.send(message[: chance.randrange(1, len(message) + 1)])
                    if number % 2:
                        connection.reset()
    until(lambda: open_files(hasty.pid) <= files + 5, "the connections are gone")
    until(lambda: in_progress(hasty.client) == 1, "nothing is in progress but the request that asks")
    grown = max(resident_bytes(hasty.pid) - memory, 0)

    assert sum(client.wrong for client in healthy) == 0
    assert grown < 16 << 20
    assert threads_of(hasty.pid) <= threads + 2
    assert "Traceback" not in hasty.log.read_text()
    answered = sum(len(client.took_s) for client in healthy)
    measured(
        "F-18", f"{2 * count} connections lost at any byte: {answered} answers beside all right, {grown >> 10} KiB"
    )
