"""nginx as committed before a real service: accepted and refused requests, timeouts."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.api.exchange import COMMON_HEADERS
from modelstore import ModelRepository
from tests.app.server.live import LIVEZ
from tests.app.sockets import Answer, connected
from tests.app.waiting import until
from tests.deployed import access_log, nginx
from tests.fakes import publish
from tests.processes import free_port, service
from tests.promises import allowed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed; scripts/packages does it"),
]

ROWS = {"instances": [[0.25, 0.25]]}
CSV = {"content-type": "text/csv"}
CLOSED = b""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Path]]:
    folder = tmp_path_factory.mktemp("door")
    publish(ModelRepository(folder / "models"))
    with (
        service(folder) as (upstream, _),
        nginx(folder, str(upstream.base_url).rstrip("/")) as address,
        httpx.Client(base_url=address, timeout=300) as client,
    ):
        yield client, folder


@pytest.fixture
def client(door: tuple[httpx.Client, Path]) -> httpx.Client:
    return door[0]


def send_raw(client: httpx.Client, *parts: bytes) -> bytes:
    """Send raw bytes and return the first bytes of the response."""
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=300) as connection:
        for part in parts:
            connection.sendall(part)
        return read(connection)


def read(connection: socket.socket) -> bytes:
    """Return the first bytes received; none if the connection is closed or reset."""
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return CLOSED


def logged(folder: Path, request_id: str) -> dict[str, object]:
    """Return the one line of nginx's log about a request; it is written after the answer."""

    def lines() -> list[str] | None:
        return [line for line in access_log(folder) if request_id in line] or None

    (line,) = until(lines, f"a line about {request_id}")
    return dict(json.loads(line))


def test_strangers_may_predict_and_ask_for_health(client: httpx.Client) -> None:
    answer = client.post("/predict/means", json=ROWS)

    assert answer.json()["predictions"][0]["label"] == "low"
    assert answer.headers["x-request-id"]
    assert client.post("/predict/means/versions/1", json=ROWS).status_code == 200
    assert client.post("/predict", json={"model": "means", **ROWS}).status_code == 200
    for path in ("/livez", "/readyz", "/health", "/healthz", "/ping"):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/train", "/train/", "/metrics", "/models", "/models/means", "/models/means/versions/1/activate"),
        *(
            "/datasets",
            "/docs",
            "/openapi.json",
            "/v2/repository/index",
            "/v2/models/means/stats",
            "/v2/models/stats",
            *("/problem", "/large", "/rows", "/parts"),
        ),
        *("/predict/../train", "/train/../predict/means", "//train", "/predict//means", "/predict/%2e%2e/train"),
        *("/predict/%2e%2e%2fmetrics", "/metrics%3f/predict/means", "/metrics;/predict/means"),
        *(
            "/metrics#/../predict/means",
            "/predict/means/../../metrics",
            "/./metrics",
            "/predict/means%20",
            "/PREDICT/means",
        ),
    ],
)
def test_everything_else_is_not_there(client: httpx.Client, target: str) -> None:
    answer = send_raw(client, f"GET {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 404 ")
    assert b"application/problem+json" in head
    assert json.loads(body)["detail"] == "nothing is served at this address"


def test_an_error_of_the_door_has_the_shape_of_the_services_own(client: httpx.Client) -> None:
    of_the_door = client.get("/train").json()
    of_the_service = client.post("/predict/none", json=ROWS).json()

    assert of_the_door.keys() - {"error"} == of_the_service.keys() - {"error"}
    assert of_the_door["title"] == of_the_service["title"] == "Not Found"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /train HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 400),
        (b"TRACE /livez HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"POST /predict/means HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n", 413),
        (b"POST /predict/means HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET /livez HTTP/2.5\r\nHost: a\r\n\r\n", 505),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_an_answer_of_the_door_protects_browsers_and_is_found_in_the_log(
    door: tuple[httpx.Client, Path], request_bytes: bytes, status: int
) -> None:
    client, folder = door
    head, _, body = send_raw(client, request_bytes).partition(b"\r\n\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
    problem = json.loads(body)

    assert problem["status"] == status
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert headers["x-request-id"] == problem["request_id"] != ""
    common = {name.decode(): value.decode() for name, value in COMMON_HEADERS}
    assert {name: headers.get(name) for name in common} == common
    event = logged(folder, problem["request_id"])
    assert event["status"] == status
    assert event["method"] in (request_bytes.split(b" ")[0].decode(), "")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /predict/means%00 HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n", b"400"),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 8000 + b"\r\n", b"400"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"414"),
        (
            b"POST /predict/m HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"400",
        ),
    ],
    ids=["zero byte", "no HTTP", "long header", "many headers", "long address", "two lengths"],
)
def test_a_head_out_of_bounds_is_refused(client: httpx.Client, request_bytes: bytes, status: bytes) -> None:
    assert send_raw(client, request_bytes).split(b" ")[1] == status


def test_a_client_that_does_not_finish_its_head_is_closed(client: httpx.Client) -> None:
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=300) as connection:
        connection.sendall(b"POST /predict/means HTTP/1.1\r\nHost: here\r\nX-Slow: ")
        answer = read(connection)

    assert answer == CLOSED or b" 408 " in answer.partition(b"\r\n")[0]
    assert 9 < time.monotonic() - started < 10 + allowed(2)


def test_a_client_that_stops_in_its_body_is_closed(client: httpx.Client) -> None:
    started = time.monotonic()
    answer = send_raw(
        client,
        b"POST /predict/means HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n",
        b"Content-Length: 99\r\n\r\n{",
    )

    assert answer == CLOSED or b" 408 " in answer.partition(b"\r\n")[0]
    assert time.monotonic() - started < 12 + allowed(2)


def test_the_log_is_json_without_queries_or_values(door: tuple[httpx.Client, Path]) -> None:
    client, folder = door
    client.post(
        "/predict/means?secret=q-u-e-r-y", json=ROWS, headers={"x-request-id": "asked-for", "authorization": "k-e-y"}
    )
    event = logged(folder, "asked-for")

    refused = {
        "path": "/predict/means",
        "status": 422,
        "request_id": "asked-for",
    }  # the service refuses unknown parameters
    assert refused.items() <= event.items()
    lines = access_log(folder)
    assert not any(word in "".join(lines) for word in ("q-u-e-r-y", "k-e-y", "[0.25"))


def test_an_address_that_sends_too_many_requests_is_told_to_wait(tmp_path: Path) -> None:
    """Nobody is behind the door: so nginx says at once, and takes more than 200 a second on a busy machine, too."""

    def refused(door: str) -> list[Answer]:
        """Send 1,600 requests as fast as they are taken, and return the refusals."""
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(connected(httpx.URL(door))) for _ in range(8)]
            for connection in connections:
                connection.send(LIVEZ * 200)
            answers = [connection.answer() for connection in connections for _ in range(200)]
        assert {answer.status for answer in answers} <= {502, 503, 504, 429}
        assert answers[0].status != 429
        return [answer for answer in answers if answer.status == 429]

    with nginx(tmp_path, f"http://127.0.0.1:{free_port()}") as address:
        first, *_ = until(lambda: refused(address), "it is told to wait")
    assert first.headers["retry-after"] == "1"
    assert json.loads(first.body)["title"] == "Too Many Requests"


def test_the_operators_door_leads_to_every_route(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    with (
        service(tmp_path) as (upstream, _),
        nginx(tmp_path, str(upstream.base_url).rstrip("/"), conf="operator.conf") as address,
        httpx.Client(base_url=address, timeout=300) as client,
    ):
        for path in ("/metrics", "/models/means", "/train", "/openapi.json"):
            assert client.get(path).status_code == 200
        assert client.post("/models/means/versions/1/activate").json()["serving_version"] == 1
        assert client.post("/predict/means", json=ROWS).status_code == 200
        assert client.post("/predict/means", content=b"0" * 1_100_000, headers=CSV).status_code == 413
