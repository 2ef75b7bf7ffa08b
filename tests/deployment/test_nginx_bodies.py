"""Bodies at nginx as committed: size limits, and unfinished bodies of one address."""

from __future__ import annotations

import contextlib
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.api.routes.predict import MAX_WHOLE_BYTES
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.telemetry.figures import held_up
from tests.app.waiting import until
from tests.deployed import COMPOSE, nginx
from tests.deployment.test_nginx import CSV, ROWS, send_raw
from tests.fakes import publish
from tests.faults.scenes import children_of
from tests.processes import PROJECT, service
from tests.promises import allowed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed; scripts/packages does it"),
]

LARGE = 16  # bodies that an address may send at a time, see nginx.conf
BEGUN_BYTES = 700_000  # of each body; the rest is never sent
RECEIVE_TIMEOUT_S = 4.0
ESTABLISHED, CLOSE_WAIT = "01", "08"
JSON = "application/json"
KINDS = {
    "a tensor": ("/v2/models/means/infer", JSON, "Content-Length: 8000000"),
    "rows in JSON": ("/predict/means", JSON, "Content-Length: 8000000"),
    "rows in JSON by a version": ("/predict/means/versions/1", JSON, "Content-Length: 8000000"),
    "JSON in parts": ("/predict/means", JSON, "Transfer-Encoding: chunked"),
    "a CSV": ("/predict/means", "text/csv", "Content-Length: 1000000"),
    "a CSV in parts": ("/predict/means", "text/csv", "Transfer-Encoding: chunked"),
}
KEPT = {"a CSV in parts"}  # by nginx, until they are complete


@dataclass(frozen=True)
class Door:
    """Clients of nginx and of the service behind it, and nginx's folder."""

    client: httpx.Client
    upstream: httpx.Client
    folder: Path


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with opened(tmp_path_factory.mktemp("door"), RECEIVE_TIMEOUT_S) as door:
        yield door


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Run a service that cuts no body off while a busy machine begins others."""
    with opened(tmp_path_factory.mktemp("patient"), 600.0) as door:
        yield door


@contextlib.contextmanager
def opened(folder: Path, receive_timeout_s: float) -> Iterator[Door]:
    publish(ModelRepository(folder / "models"))
    with (
        service(folder, environment={"TABSERVE_RECEIVE_TIMEOUT_S": f"{receive_timeout_s}"}) as (upstream, _),
        nginx(folder, str(upstream.base_url).rstrip("/")) as address,
        httpx.Client(base_url=address, timeout=300) as client,
    ):
        yield Door(client, upstream, folder / "nginx")


def begin(client: httpx.Client, kind: str) -> socket.socket:
    """Send only the beginning of a body."""
    path, content_type, length = KINDS[kind]
    connection = socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=300)
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: {content_type}\r\n{length}\r\n\r\n"
    first = f"{BEGUN_BYTES:x}\r\n" if "chunked" in length else ""
    with contextlib.suppress(ConnectionError):  # it is refused already
        connection.sendall((head + first).encode() + b" " * BEGUN_BYTES)
    connection.setblocking(False)
    return connection


def answered(connection: socket.socket) -> bool:
    """Return whether a response has begun to arrive, without reading it."""
    with contextlib.suppress(BlockingIOError):
        return bool(connection.recv(1, socket.MSG_PEEK))
    return False


def connections_to(client: httpx.Client) -> int:
    """Return how many connections nginx has not closed; those of clients that went away count until it notices."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    open_ones = [local for _, local, _, state, *_ in lines if state in (ESTABLISHED, CLOSE_WAIT)]
    return sum(int(local.partition(":")[2], 16) == client.base_url.port for local in open_ones)


def kept_bytes(folder: Path) -> int:
    """Return the size of the bodies that nginx buffers in unlinked files."""
    found = 0
    for worker in children_of(int((folder / "nginx.pid").read_text())):
        for descriptor in Path(f"/proc/{worker}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                if str(folder / "bodies") in str(descriptor.readlink()):
                    found += descriptor.stat().st_size
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_an_address_begins_so_many_large_bodies_and_fills_no_disk(patient: Door, kind: str) -> None:
    """Those that are too many are told so; small requests are answered beside them, and nothing stays."""
    client, folder = patient.client, patient.folder
    until(lambda: connections_to(client) <= 1, "the end of all other connections")
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(begin(client, kind)) for _ in range(LARGE + 4)]
        until(lambda: sum(map(answered, connections)) >= 4, "the refusal of those that are too many")
        refused = [connection.recv(65536) for connection in connections if answered(connection)]
        assert all(answer.startswith(b"HTTP/1.1 429 ") for answer in refused)
        assert len(refused) == 4
        assert client.post("/predict/means", json=ROWS).status_code == 200
        if kind in KEPT:
            until(lambda: kept_bytes(folder) >= LARGE * (BEGUN_BYTES - (128 << 10)), "the bodies on the disk")
        else:
            until(lambda: held_up(patient.upstream) == LARGE, "all bodies at the service")
            assert kept_bytes(folder) == 0

    until(lambda: kept_bytes(folder) == 0, "the end of what was kept")
    assert open_large(client)


def open_large(client: httpx.Client) -> bool:
    """Wait until large bodies are accepted again."""
    large = b'{"instances": [[0.25, 0.25]]}'.ljust(100_000)
    headers = {"content-type": JSON}
    return until(lambda: client.post("/predict/means", content=large, headers=headers).status_code == 200, "an answer")


def test_what_an_address_can_have_kept_is_a_small_part_of_the_disk() -> None:
    (bodies,) = [mount for mount in COMPOSE["services"]["nginx"]["tmpfs"] if mount.startswith("/bodies:")]

    assert f"size={LARGE * 16}m," in bodies  # 16 such addresses, of a MiB for each body
    assert "limit_conn large 16;" in (PROJECT / "deploy" / "nginx" / "nginx.conf").read_text()


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - KEPT))
def test_a_body_that_comes_a_byte_at_a_time_is_cut_off_by_the_service(door: Door, kind: str) -> None:
    path, content_type, _ = KINDS[kind]
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", door.client.base_url.port or 0), timeout=0.5) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: {content_type}\r\n{KINDS[kind][2]}\r\n\r\n"
        connection.sendall(head.encode())
        answer = b""
        while not answer and time.monotonic() - began < 30:
            connection.sendall(b"1\r\n \r\n" if "chunked" in head else b" ")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < RECEIVE_TIMEOUT_S + allowed(2)


def test_rows_come_in_as_csv_in_parts_of_unknown_length(door: Door) -> None:
    def rows() -> Iterator[bytes]:
        yield b"left,right\n"
        for _ in range(80):
            yield b"0.25,0.25\n" * 1000
        yield b"0.75,0.75\n"

    lines = door.client.post("/predict/means", content=rows(), headers=CSV).text.splitlines()

    assert len(lines) == 80_002
    assert (lines[1].partition(",")[0], lines[-1].partition(",")[0]) == ("low", "high")


def test_a_body_that_would_be_answered_while_it_arrives_is_refused_at_once(door: Door) -> None:
    """Nginx would stop sending it in the middle, and wait: https://trac.nginx.org/nginx is half-duplex here."""
    started = time.monotonic()
    declared = door.client.post("/predict/means", content=b"left,right\n" + b"0.25,0.25\n" * 110_000, headers=CSV)

    assert declared.status_code == 413
    assert declared.json()["title"] == "Content Too Large"
    assert time.monotonic() - started < allowed(2)
    assert MAX_WHOLE_BYTES >= 1 << 20
    assert "client_max_body_size 1m;" in (PROJECT / "deploy" / "nginx" / "predict.conf").read_text()


def test_a_whole_body_is_limited_as_the_service_limits_it(door: Door) -> None:
    limit = Settings.model_fields["max_body_bytes"].default
    for route in ("/predict/means", "/v2/models/means/infer"):
        head = f"POST {route} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: "
        assert b" 413 " in send_raw(door.client, f"{head}{limit + 1}\r\n\r\n".encode()).partition(b"\r\n")[0]

    rows = [[0.25, 0.25]] * Settings.model_fields["max_rows"].default
    assert len(door.client.post("/predict/means", json={"instances": rows}).json()["predictions"]) == len(rows)
