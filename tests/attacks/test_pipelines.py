"""Pipelined requests whose last one is broken, beside healthy neighbours (X-01)."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.app.sockets import JSON, Connection, chunked, connected, request
from tests.app.telemetry.figures import in_progress
from tests.app.waiting import until
from tests.attacks.conftest import store_in
from tests.processes import service
from tests.promises import LONG, Measured

pytestmark = pytest.mark.slow

ROUNDS = 3000 if LONG else 120
NEIGHBOURS = 3
LIMIT = 32 << 10
HEAD = b"POST /predict/iris HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"

REFUSED: dict[str, bytes] = {
    "chunk size is no number": CHUNKED + b"ZZ\r\nabc",
    "chunk size is negative": CHUNKED + b"-1\r\nabc",
    "chunk size is too large": CHUNKED + b"f" * 17 + b"\r\nabc",
    "chunk size ends in a line feed": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "chunk is longer than its size": CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n",
    "chunk is followed by a lone carriage return": CHUNKED + b"3\r\nabc\rX",
    "second chunk is bad": CHUNKED + b"3\r\nabc\r\nXY\r\n",
    "chunks are tiny": CHUNKED + b"1\r\n \r\n" * 2000,
    "trailer has no name": CHUNKED + b"0\r\n: x\r\n\r\n",
    "trailer has no colon": CHUNKED + b"0\r\nx y\r\n\r\n",
    "trailer has a control character": CHUNKED + b"0\r\nx: a\x00b\r\n\r\n",
    "trailer is long": CHUNKED + b"0\r\nx: " + b"a" * (2 * LIMIT) + b"\r\n\r\n",
    "trailers are many": CHUNKED + b"0\r\n" + b"x: y\r\n" * 200 + b"\r\n",
    "chunk extension is long": CHUNKED + b"1;" + b"a" * (2 * LIMIT) + b"\r\n \r\n0\r\n\r\n",
    "length is no number": HEAD + b"content-length: x\r\n\r\nabc",
    "length is negative": HEAD + b"content-length: -3\r\n\r\nabc",
    "two lengths": HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\nabc",
    "length and chunks": HEAD + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown encoding": HEAD + b"transfer-encoding: gzip\r\n\r\nabc",
    "no host": b"POST /predict/iris HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
    "two hosts": HEAD + b"host: localhost\r\ncontent-length: 0\r\n\r\n",
    "space before the colon": HEAD + b"x : y\r\n\r\n",
    "head is long": HEAD + b"x: " + b"a" * (3 * LIMIT) + b"\r\n\r\n",
    "headers are many": HEAD + b"x: y\r\n" * 200 + b"\r\n",
    "garbage": b"garbage\r\n\r\n",
    "binary": bytes(range(128, 256)),
    "connect": b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n",
}
CUT_OFF: dict[str, bytes] = {
    "nothing": b"",
    "within the first line": b"POST /pre",
    "within the head": HEAD,
    "before the body": HEAD + b"content-length: 3\r\n\r\n",
    "within the body": HEAD + b"content-length: 3\r\n\r\na",
    "before a chunk": CHUNKED,
    "within a chunk size": CHUNKED + b"1",
    "within a chunk": CHUNKED + b"3\r\na",
    "within a trailer": CHUNKED + b"0\r\nx: a",
}


@dataclass(frozen=True)
class Scene:
    """Requests in a row: the values that good ones ask for, how each is asked, and how the row ends."""

    goods: str  # s: fast path, u: uvicorn's path, c: chunked
    ending: str
    cuts: tuple[int, ...]

    def packets(self) -> list[bytes]:
        raw = b"".join(good(kind, place) for place, kind in enumerate(self.goods))
        raw += (REFUSED | CUT_OFF)[self.ending]
        ends = [cut for cut in self.cuts if cut < len(raw)]
        return [raw[start:end] for start, end in itertools.pairwise([0, *ends, len(raw)])]


def good(kind: str, place: int) -> bytes:
    body = json.dumps({"instances": [[place / 8] * 4]}).encode()
    if kind == "c":
        return b"".join(chunked(body))
    return request(body, "/predict/iris" if kind == "s" else "/predict/iris?", JSON)


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Run a service that delays its batches, so that all requests of a scene share one."""
    folder = tmp_path_factory.mktemp("waiting")
    store_in(folder)
    with service(folder, environment={"TABSERVE_MAX_BATCH_WAIT_S": "0.01"}) as (client, _):
        yield client
    assert "Traceback" not in (folder / "service.log").read_text()


def answers(raw: bytes) -> list[tuple[int, bytes]]:
    """Return statuses and bodies; the received bytes must be complete responses and nothing else."""
    found = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert head.startswith(b"HTTP/1.1 "), head
        assert length, head
        size = int(length[1])
        assert len(raw) >= size
        found.append((int(head[9:12]), raw[:size]))
        raw = raw[size:]
    return found


def value_of(body: bytes) -> float:
    return float(json.loads(body)["predictions"][0]["probabilities"]["virginica"])


def played(client: httpx.Client, scene: Scene) -> list[tuple[int, bytes]]:
    """Play a scene beside neighbours, who must all be answered, and return what the row was answered."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(client.base_url)) for _ in range(NEIGHBOURS + 1)]
        row, *neighbours = connections
        ask(neighbours[:1])
        with contextlib.suppress(ConnectionError):
            row.send(*scene.packets())
        if scene.ending in CUT_OFF:
            with contextlib.suppress(OSError):
                row.socket.shutdown(socket.SHUT_WR)
        ask(neighbours[1:])
        for place, neighbour in enumerate(neighbours):
            answer = neighbour.answer()
            assert (answer.status, value_of(answer.body)) == (200, 1.0), (scene, place)
        return answers(row.rest())


def ask(connections: list[Connection]) -> None:
    for connection in connections:
        connection.send(request(b'{"instances": [[1, 1, 1, 1]]}'))


def check(client: httpx.Client, scene: Scene) -> None:
    found = played(client, scene)

    goods = [(status, value_of(body)) for status, body in found if status == 200]
    assert goods == [(200, place / 8) for place in range(len(goods))], scene
    if scene.ending in CUT_OFF:  # a client that closes its side counts as disconnected: the rest is not answered
        assert len(goods) == len(found) <= len(scene.goods), scene
    else:
        assert len(goods) == len(scene.goods), (scene, found)
        assert [status for status, _ in found[len(goods) :]] in ([400], [431]), (scene, found)


def nobody_is_in_progress(client: httpx.Client) -> None:
    until(lambda: in_progress(client) == 1, "only the scrape is in progress")


@pytest.mark.parametrize("goods", ["s", "u", "ssu"])
@pytest.mark.parametrize("ending", REFUSED)
def test_good_requests_are_answered_before_the_bad_one_behind_them_is_refused(
    waiting: httpx.Client, ending: str, goods: str
) -> None:
    """X-01: in one packet; neighbours that wait for the same batch are answered, and no place is lost."""
    check(waiting, Scene(goods, ending, ()))
    nobody_is_in_progress(waiting)


@pytest.mark.parametrize("kind", ["s", "u"])
def test_bad_chunk_behind_a_good_request_is_refused_in_its_turn_wherever_packets_end(
    waiting: httpx.Client, kind: str
) -> None:
    """X-01: split at every byte of a row of two."""
    whole = len(b"".join(Scene(kind, "chunk size is no number", ()).packets()))
    for cut in range(1, whole, 1 if LONG else 7):
        check(waiting, Scene(kind, "chunk size is no number", (cut,)))
    nobody_is_in_progress(waiting)


def test_no_row_with_a_bad_ending_harms_its_neighbours(waiting: httpx.Client, measured: Measured) -> None:
    """X-01: rows by chance, always the same ones: 0 to 3 good requests, every ending, split anywhere."""
    chance = random.Random(12)
    endings = [*REFUSED, *CUT_OFF]
    for number in range(ROUNDS):
        goods = "".join(chance.choices("ssuc", k=chance.randrange(4)))
        cuts = sorted(chance.sample(range(1, 800), k=chance.choice((0, 0, 1, 3, 40))))
        check(waiting, Scene(goods, endings[number % len(endings)], tuple(cuts)))

    nobody_is_in_progress(waiting)
    measured(
        "X-01",
        f"{ROUNDS} rows of requests with {len(endings)} bad endings: {ROUNDS * NEIGHBOURS} of "
        f"{ROUNDS * NEIGHBOURS} neighbours answered, all in order, 0 left in progress",
    )


def test_many_broken_rows_take_no_place_of_others(tmp_path: Path) -> None:
    """X-01: more of them than there are places, and the service still answers."""
    store_in(tmp_path)
    with service(tmp_path, environment={"TABSERVE_MAX_IN_FLIGHT": "8"}) as (client, _):
        for _ in range(12):
            check(client, Scene("s", "chunk size is no number", ()))
        nobody_is_in_progress(client)
        assert client.get("/readyz").status_code == 200
