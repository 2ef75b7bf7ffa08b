"""Requests with much memory: refused beyond the budget, while small ones go on."""

from __future__ import annotations

import contextlib
import json
import select
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.app.sockets import GOOD, JSON, Answer, Connection, connected, request
from tests.app.tables import ARROW, as_arrow
from tests.app.telemetry.figures import in_progress
from tests.app.waiting import until
from tests.attacks.conftest import Guarded, keyless, store_in
from tests.attacks.measuring import Asking, peak_bytes, reset_peak, resident_bytes
from tests.attacks.messages import CAP
from tests.processes import service
from tests.promises import Measured

pytestmark = pytest.mark.slow

HELD = 32 << 20
BESIDES = 48 << 20  # buffers of sockets, readers, what the allocator keeps; 60 such requests would hold 480 MiB
JOINED = 2 * BESIDES  # what comes of an Arrow message is copied when it has grown by a quarter, which leaves gaps
PIECE = 64 << 10
CLIENTS = 60


@pytest.fixture(scope="module")
def frugal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Run a service with a memory budget of four of the largest bodies."""
    with keyless(tmp_path_factory.mktemp("frugal"), {"TABSERVE_MAX_BYTES_HELD": str(HELD)}) as frugal:
        yield frugal


def is_answered(connection: Connection) -> bool:
    return bool(select.select([connection.socket], [], [], 0)[0])


def send_unfinished(connection: Connection, message: bytes) -> None:
    """Send a message without its last byte, or less if a response arrives."""
    with contextlib.suppress(ConnectionError):
        for place in range(0, len(message) - 1, PIECE):
            if is_answered(connection):
                return
            connection.socket.sendall(message[place : min(place + PIECE, len(message) - 1)])


def answers_to(connections: list[Connection], least: int) -> list[Answer]:
    """Wait for this number of responses, and return all of them."""
    until(lambda: sum(map(is_answered, connections)) >= least, f"{least} have an answer")
    return [connection.answer() for connection in connections if is_answered(connection)]


FIRST = "/predict/iris"
FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
CSV = b"".join(b"%d,2,3,4\n" % (row % 10) for row in range(100_000))
LARGE = {
    FIRST: request(GOOD.ljust(CAP)),
    "/predict": request(GOOD.ljust(CAP), "/predict"),
    "/v2/models/iris/infer": request(GOOD.ljust(CAP), "/v2/models/iris/infer"),
    "/v2/repository/index": request(b" " * (1 << 20), "/v2/repository/index", {"content-type": "text/csv"}),
    ARROW: request(
        as_arrow(np.ones((1 << 19, 4), np.float32), FEATURES, 1 << 19)[:-8], headers={"content-type": ARROW}
    ),
    "answers": request(
        ",".join(FEATURES).encode() + b"\n" + CSV,
        headers={"content-type": "text/csv", "accept": "application/json"},
    ),
}


@pytest.mark.parametrize("kind", LARGE)
def test_unfinished_large_requests_are_refused_once_all_hold_what_they_may(
    kind: str, frugal: Guarded, measured: Measured
) -> None:
    """Their clients never send the last byte; those of the last kind have their answers held, which are larger."""
    message, before = LARGE[kind], resident_bytes(frugal.pid)
    reset_peak(frugal.pid)
    with contextlib.ExitStack() as stack:
        direct, long = (stack.enter_context(connected(frugal.url)) for _ in range(2))
        with Asking(direct, request()) as small, Asking(long, request(path="/predict/iris?")) as other:
            connections = [stack.enter_context(connected(frugal.url)) for _ in range(CLIENTS)]
            for connection in connections:
                send_unfinished(connection, message)
            refused = answers_to(connections, 10)
            small.go_on(10)
            other.go_on(10)
        grown = peak_bytes(frugal.pid) - before
    until(lambda: in_progress(frugal.client) == 1, "nothing is in progress but the request that asks")

    assert len(refused) < CLIENTS
    for answer in refused:
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert "TABSERVE_MAX_BYTES_HELD" in json.loads(answer.body).get("detail", answer.body.decode())
    assert grown < HELD + (JOINED if kind == ARROW else BESIDES), grown >> 20
    assert (small.wrong, other.wrong) == (0, 0)
    with connected(frugal.url) as connection:
        connection.send(request(GOOD.ljust(CAP)))
        assert connection.answer().status == 200
    if kind == FIRST:
        measured(
            "S-13",
            f"{CLIENTS} unfinished bodies of 8 MiB, of which {HELD >> 20} MiB may be held: {len(refused)} are 503, "
            f"{grown >> 20} MiB more memory, {len(small.took_s) + len(other.took_s)} small predictions beside: all 200",
        )


def test_documents_that_are_read_whole_are_not_all_in_memory_at_once(frugal: Guarded) -> None:
    """As objects these are some 25 MiB each, and they wait twice: to be parsed, and for their rows to be looked at."""
    rows = [[1.5, 2.5, 3.5, 4.5]] * 100_000
    message = request(json.dumps({"model": "iris", "instances": [*rows, [1.5]]}).encode(), "/predict")
    reset_peak(frugal.pid)
    before = resident_bytes(frugal.pid)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(frugal.url)) for _ in range(12)]
        for connection in connections:
            connection.send(message)
        statuses = [connection.answer().status for connection in connections]

    assert statuses == [422] * 12
    assert peak_bytes(frugal.pid) - before < 150 << 20, (peak_bytes(frugal.pid) - before) >> 20


def test_request_that_is_alone_may_be_as_large_as_its_own_limits_say(tmp_path: Path) -> None:
    store_in(tmp_path)
    rows = json.dumps({"instances": [[1, 2, 3, 4]] * 20_000}).encode()
    with service(tmp_path, environment={"TABSERVE_MAX_BYTES_HELD": str(1 << 16)}) as (client, _):
        answer = client.post("/predict/iris", content=rows, headers=JSON)

    assert (answer.status_code, len(answer.json()["predictions"])) == (200, 20_000)
