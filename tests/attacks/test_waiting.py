"""Many clients that wait for a body or a training do not block others (X-06, X-07)."""

from __future__ import annotations

import contextlib
import json
import selectors
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.api.routes.events import MAX_STREAMS
from app.api.routes.train import MAX_WAITS
from app.jobs.threads import OWNER_THREADS, REQUEST_THREADS
from tests.app.runners import write_training
from tests.app.sockets import DEADLINE_S, GOOD, JSON, Answer, Connection, connected, request
from tests.app.telemetry.figures import REQUESTS, held_up, in_progress, scraped
from tests.app.waiting import until
from tests.attacks.conftest import Guarded, keyless, store_in
from tests.attacks.measuring import Asking, resident_bytes, serves, threads_of
from tests.processes import service
from tests.promises import Measured

pytestmark = pytest.mark.slow

CLIENTS = 1100  # more than are answered at a time
PART = 200
AT_ONCE = 3  # the requests of `others_are_served`, and the one that asks how many are in progress
CSV = {"content-type": "text/csv"}
TENSOR = {"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [0.25, 0.5, 0.75, 1.0]}]}
LINES = b"sepal_length,sepal_width,petal_length,petal_width\n1,2,3,4\n"
BEHIND = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
UNFINISHED: dict[str, bytes] = {
    "short way": request(GOOD.ljust(100))[:-50],
    "long way": request(GOOD.ljust(100), "/predict/iris?")[:-50],
    "nothing but the head": request(GOOD, "/predict/iris?")[: -len(GOOD)],
    "named in the body": request(GOOD.ljust(100), "/predict")[:-50],
    "chunks": request(b"", "/predict/iris?").replace(b"content-length: 0", b"transfer-encoding: chunked") + b"9\r\n{",
    "rows as a whole": request(LINES * 2, headers=CSV)[:-50],
    "rows while they arrive": request(LINES, headers=CSV).replace(b"length: ", b"length: 90000"),
    "inference": request(json.dumps(TENSOR).encode(), "/v2/models/iris/infer")[:-9],
    "training": request(b'{"model": "iris"}', "/train")[:-3],
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Run a service without keys that gives bodies ten minutes: none is cut off while a busy machine sends others."""
    with keyless(tmp_path_factory.mktemp("plain"), {"TABSERVE_RECEIVE_TIMEOUT_S": "600"}) as plain:
        yield plain


@contextlib.contextmanager
def others_are_served(service: Guarded) -> Iterator[Asking]:
    """Request predictions during the block, on both paths; each must be answered 200."""
    with (
        connected(service.url) as short,
        connected(service.url) as long,
        Asking(short, request()) as first,
        Asking(long, request(path="/predict/iris?")) as second,
    ):
        yield first
        first.go_on(50)
        second.go_on(50)
    assert (first.wrong, second.wrong) == (0, 0)


def send_in_parts(connections: list[Connection], message: bytes, settled: Callable[[int], bool]) -> None:
    """Send a message on each connection; of so many at once, some would be refused before they can wait."""
    for sent in range(0, len(connections), PART):
        for connection in connections[sent : sent + PART]:
            connection.send(message)
        until(lambda sent=sent: settled(min(sent + PART, len(connections))), "they wait")  # type: ignore[misc]


@pytest.mark.parametrize("kind", UNFINISHED)
def test_x7_half_bodies_keep_nobody_from_being_served(kind: str, plain: Guarded, measured: Measured) -> None:
    """X7: the requests of 1,100 clients that send a part of their bodies and no more do not count as being answered."""
    memory = resident_bytes(plain.pid)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(plain.url)) for _ in range(CLIENTS)]
        with others_are_served(plain) as asking:
            send_in_parts(connections, UNFINISHED[kind], lambda sent: held_up(plain.client) >= sent)
            with connected(plain.url) as fresh:
                assert serves(fresh, request())
        grown = max(resident_bytes(plain.pid) - memory, 0)
    until(lambda: held_up(plain.client) == 0, "nobody waits any more")
    until(lambda: in_progress(plain.client) == 1, "nothing is in progress but the request that asks")

    assert grown < 64 << 20
    assert len(asking.took_s) >= 50
    measured("X-07", f"{CLIENTS:,} half bodies of {len(UNFINISHED)} kinds: each prediction beside them 200")


@pytest.mark.parametrize("path", ["/predict/iris", "/predict/iris?"])
def test_x7_half_bodies_are_answered_when_they_are_whole(path: str, plain: Guarded) -> None:
    """X7: a long wait has no disadvantage."""
    message = request(path=path)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(plain.url)) for _ in range(50)]
        for place in range(3):
            for connection in connections:
                connection.send(message[place * 80 : place * 80 + 80] if place < 2 else message[160:])
        assert [connection.answer().status for connection in connections] == [200] * 50


@pytest.mark.parametrize("path", ["/predict/iris", "/predict/iris?"])
def test_x7_bodies_that_are_not_whole_are_bounded_in_bytes(path: str, tmp_path: Path) -> None:
    """X7: small bodies that have begun hold TABSERVE_MAX_BYTES_HELD at most; whole ones are answered beside."""
    store_in(tmp_path)
    message = request(GOOD.ljust(60_000), path)
    with (
        service(
            tmp_path, environment={"TABSERVE_MAX_BYTES_HELD": f"{1 << 20}", "TABSERVE_RECEIVE_TIMEOUT_S": "600"}
        ) as (client, _),
        contextlib.ExitStack() as stack,
    ):
        connections = [stack.enter_context(connected(client.base_url)) for _ in range(40)]
        for connection in connections:
            with contextlib.suppress(ConnectionError):
                connection.send(message[:-10])
        until(lambda: held_up(client) == (1 << 20) // 60_000, "as many wait as there is room for")
        whole = stack.enter_context(connected(client.base_url))
        whole.send(request(GOOD.ljust(1000), path))
        assert whole.answer().status == 200
        statuses = []
        for connection in connections:
            with contextlib.suppress(ConnectionError):
                connection.send(message[-10:])
            statuses.append(connection.answer().status)
        counted = scraped(client)

    assert sorted(set(statuses)) == [200, 503]
    assert statuses.count(200) == (1 << 20) // 60_000
    requests = {dict(labels)["code"]: count for (name, labels), count in counted.items() if name == REQUESTS}
    assert requests["503"] == statuses.count(503)
    assert "499" not in requests, "no client went away"


def test_x7_half_bodies_make_room_for_new_connections(tmp_path: Path) -> None:
    """X7: of more connections than there may be, those whose bodies come most slowly are closed for new ones."""
    store_in(tmp_path)

    def answered() -> bool:
        with connected(client.base_url) as connection, contextlib.suppress(OSError, EOFError):
            return serves(connection, request())
        return False

    environment = {"TABSERVE_MAX_CONNECTIONS": "20", "TABSERVE_RECEIVE_TIMEOUT_S": "600"}
    with service(tmp_path, environment=environment) as (client, _), contextlib.ExitStack() as stack:
        client.close()
        for _ in range(40):
            with contextlib.suppress(OSError):
                stack.enter_context(connected(client.base_url)).send(UNFINISHED["short way"])
        until(answered, "an answer to a new client")


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Guarded]:
    """Run a service whose trainings never end."""
    write_training(tmp_path / "cwd", "signal.pause()")
    with keyless(tmp_path, cwd=tmp_path / "cwd") as training:
        yield training


def test_x6_clients_that_wait_for_a_training_keep_nobody_from_being_served(
    training: Guarded, measured: Measured
) -> None:
    """X6: 1,100 of them; 64 wait, the others are answered 202 at once, and all waits end with the training."""
    headers = {**JSON, "prefer": "wait=60", "idempotency-key": "one"}
    message = request(b'{"model": "iris"}', "/train", headers)
    client = training.client
    threads = threads_of(training.pid)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(training.url)) for _ in range(CLIENTS)]
        with others_are_served(training) as asking:
            send_in_parts(connections, message, lambda _: in_progress(client) <= AT_ONCE)
            at_once = answered(connections, CLIENTS - MAX_WAITS)
            asking.go_on(50)
            assert held_up(client) == MAX_WAITS
            assert threads_of(training.pid) <= threads + REQUEST_THREADS + OWNER_THREADS
        job = client.get("/train").json()["jobs"][0]
        assert client.delete(f"/train/{job['id']}").status_code == 202
        waited = answered([one for one in connections if one not in at_once], MAX_WAITS)

    assert {answer.status for answer in at_once.values()} == {202}
    assert {(answer.status, json.loads(answer.body)["status"]) for answer in waited.values()} == {(200, "cancelled")}
    assert {json.loads(answer.body)["id"] for answer in (at_once | waited).values()} == {job["id"]}
    told = f"{MAX_WAITS} of {CLIENTS:,} clients wait for one training, the others are answered 202"
    measured("X-06", f"{told}; {len(asking.took_s)} predictions beside, all 200, p99 {asking.p99_ms:.0f} ms")


def answered(connections: list[Connection], number: int) -> dict[Connection, Answer]:
    """Return the first responses on this number of connections."""
    found: dict[Connection, Answer] = {}
    poll = selectors.DefaultSelector()
    for connection in connections:
        poll.register(connection.socket, selectors.EVENT_READ, connection)
    while len(found) < number:
        ready = poll.select(DEADLINE_S)
        assert ready, f"{len(found)} of {number} answers came"
        for key, _ in ready:
            poll.unregister(key.fileobj)
            found[key.data] = key.data.answer()
    return found


def test_x6_client_that_goes_away_leaves_its_place_to_another(training: Guarded) -> None:
    """X6: clients that wait for a training."""
    message = request(b'{"model": "iris"}', "/train", {**JSON, "prefer": "wait=60", "idempotency-key": "one"})
    connections: list[Connection] = []
    with contextlib.ExitStack() as stack:
        for clients in (MAX_WAITS + 1, 2):
            new = [stack.enter_context(connected(training.url)) for _ in range(clients)]
            for connection in new:
                connection.send(message)
            connections.extend(new)
            ((refused, answer),) = answered(connections, 1).items()
            assert answer.status == 202
            connections.remove(refused)
            until(lambda: held_up(training.client) == MAX_WAITS, "all places are taken")
            assert in_progress(training.client) == 1
            connections.pop().reset()
            until(lambda: held_up(training.client) == MAX_WAITS - 1, "a place is left")


@pytest.mark.parametrize("late", [False, True], ids=["in one packet", "later"])
@pytest.mark.parametrize("kind", ["events", "wait"])
def test_x6_client_that_goes_away_leaves_its_place_whatever_it_asked_behind(
    kind: str, late: bool, training: Guarded
) -> None:
    """X6: a waiting request notices the loss of its connection, not only the last one after it."""
    job = training.client.post("/train", json={"model": "iris"}, headers={"idempotency-key": "one"}).json()
    message = {
        "events": request(b"", f"/train/{job['id']}/events", {}, method="GET"),
        "wait": request(b'{"model": "iris"}', "/train", {**JSON, "prefer": "wait=60", "idempotency-key": "one"}),
    }[kind]
    for _ in range(2):
        with connected(training.url) as connection:
            connection.send(message if late else message + BEHIND * 2)
            until(lambda: held_up(training.client) == 1, "it waits")
            if late:
                connection.send(BEHIND)
        until(lambda: held_up(training.client) == 0, "its place is left")


def test_x6_clients_that_follow_a_training_do_not_count_as_being_answered(training: Guarded) -> None:
    """X6: event streams have their own limit."""
    job = training.client.post("/train", json={"model": "iris"}).json()
    message = request(b"", f"/train/{job['id']}/events", {}, method="GET")
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(training.url)) for _ in range(MAX_STREAMS)]
        for connection in connections:
            connection.send(message)
        assert [connection.head()[0] for connection in connections] == [200] * MAX_STREAMS
        until(lambda: (held_up(training.client), in_progress(training.client)) == (MAX_STREAMS, 1), "all follow")
        with connected(training.url) as late:
            late.send(message)
            assert late.answer().status == 503
