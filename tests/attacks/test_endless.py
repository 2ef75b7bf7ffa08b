"""Parts of a message that do not end: bounded by the limit of heads (X-03, X-08)."""

from __future__ import annotations

import contextlib
import itertools
import re
import select
import threading
import time

import pytest

from tests.app.server.live import high
from tests.app.sockets import GOOD, Connection, connected
from tests.attacks.conftest import Guarded
from tests.attacks.measuring import Asking, peak_bytes, reset_peak, resident_bytes
from tests.attacks.messages import answer_to, head, in_chunks, whole
from tests.promises import LONG, Measured, allowed

pytestmark = pytest.mark.slow

LIMIT = 32 << 10
MOST_SENT = 16 << 20  # more than this means that there is no limit; the kernel buffers some
DATA = in_chunks(GOOD).removesuffix(b"0\r\n\r\n")

# The beginning of a chunked body, and the bytes that then repeat forever.
ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "value of a trailer": (b"0\r\nx-a: ", b"a"),
    "name of a trailer": (b"0\r\n", b"a"),
    "trailers": (b"0\r\n", b"x: y\r\n"),
    "large trailers": (b"0\r\n", b"x: " + b"y" * 9000 + b"\r\n"),
    "trailers named as a length": (b"0\r\n", b"content-length: 1\r\n"),
    "blanks of a trailer": (b"0\r\nx-a:", b" "),
    "extension": (b"5;", b"a"),
    "value of an extension": (b"5;a=", b"b"),
    "quoted value of an extension": (b'5;a="', b"b"),
    "extensions": (b"5", b";a=b"),
    "extension behind data": (DATA + b"5;", b"a"),
    "extensions of all chunks": (b"", b"4;" + b"a" * 1000 + b"\r\n    \r\n"),
    "zeros of a size": (b"", b"0"),
    "zeros of a size behind data": (DATA, b"0"),
}
PATHS = ("/predict/iris", "/predict/iris?", "/predict", "/v2/models/iris/infer")


def chunked_head(guarded: Guarded, path: str = PATHS[0]) -> bytes:
    return head(guarded, "transfer-encoding: chunked", path=path)


def sent_for_ever(connection: Connection, start: bytes, again: bytes, piece: int) -> int:
    """Send a beginning and then the same bytes repeatedly until a response arrives; return the number sent."""
    more = again * (piece // len(again) + 1)
    sent = 0
    with contextlib.suppress(ConnectionError):
        connection.send(start)
        while sent < MOST_SENT and not select.select([connection.socket], [], [], 0)[0]:
            connection.send(more)
            sent += len(more)
    return sent


@pytest.mark.parametrize("piece", [1000, 200_000], ids=["small pieces", "large pieces"])
@pytest.mark.parametrize("kind", ENDLESS)
def test_endless_part_of_a_body_is_refused(kind: str, piece: int, guarded: Guarded, measured: Measured) -> None:
    """X-03."""
    start, again = ENDLESS[kind]
    for path in PATHS if LONG else PATHS[:1]:
        with connected(guarded.url) as connection:
            sent = sent_for_ever(connection, chunked_head(guarded, path) + start, again, piece)
            answer = connection.answer()

        assert sent < MOST_SENT
        assert answer.status in (400, 431)
        assert answer.headers["connection"] == "close"
    measured("X-03", f"{len(ENDLESS)} parts that never end: 431 or 400, and the connection closed")


@pytest.mark.parametrize("kind", ENDLESS)
def test_endless_part_behind_an_answer_ends_the_connection(kind: str, guarded: Guarded) -> None:
    """X-03: for a body whose request has its response already; it gets no second one."""
    start, again = ENDLESS[kind]
    with connected(guarded.url) as connection:
        connection.send(b"GET /livez HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
        assert connection.answer().status == 200

        assert sent_for_ever(connection, start, again, 1000) < MOST_SENT
        assert connection.rest() == b""


@pytest.mark.parametrize("pieces", [1, 7], ids=["one packet", "in pieces"])
@pytest.mark.parametrize(
    ("extension", "trailer", "count", "status"),
    [
        (0, 30_000, 1, 200),
        (0, 100, 100, 200),
        (30_000, 0, 0, 200),
        (10_000, 10_000, 1, 200),
        (0, 34_000, 1, 431),
        (0, 10, 101, 431),
        (0, 400, 90, 431),
        (40_000, 0, 0, 431),
        (20_000, 20_000, 1, 431),
        (100_000, 0, 0, 431),
        (0, 100_000, 1, 431),
    ],
)
def test_parts_of_a_body_have_the_limits_of_a_head(
    extension: int, trailer: int, count: int, status: int, pieces: int, guarded: Guarded
) -> None:
    """X-03: to the byte they are not counted, since the request line is among them."""
    line = b"%x;%b\r\n" % (len(GOOD), b"a" * extension) if extension else b"%x\r\n" % len(GOOD)
    raw = chunked_head(guarded) + line + GOOD + b"\r\n0\r\n" + (b"x: " + b"y" * trailer + b"\r\n") * count + b"\r\n"
    step = -(-len(raw) // pieces)
    with connected(guarded.url) as connection:
        with contextlib.suppress(ConnectionError):
            connection.send(*(raw[start : start + step] for start in range(0, len(raw), step)))
        assert connection.answer().status == status
        if status == 200:
            connection.send(whole(guarded, GOOD))
            assert high(connection.answer()) == 0.625
        else:
            assert connection.rest() == b""


@pytest.mark.parametrize("pieces", [1, 2], ids=["one packet", "two packets"])
@pytest.mark.parametrize("extension", [1, 1000])
def test_what_comes_before_a_body_in_its_packet_is_not_counted_with_it(
    extension: int, pieces: int, guarded: Guarded
) -> None:
    """X-03: other requests, or headers of the largest permitted size."""
    probe = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
    start = chunked_head(guarded)
    number = (LIMIT - len(start)) // len(probe)
    filling = start.removesuffix(b"\r\n") + b"x: "
    large = filling.ljust(LIMIT - 600, b"y") + b"\r\n\r\n"
    line = b"%x;%b\r\n" % (len(GOOD), b"a" * extension)
    body = line + GOOD + b"\r\n0\r\nx: " + b"y" * 200 + b"\r\n\r\n"
    for first, answers in ((probe * number + start, number), (large, 0)):
        with connected(guarded.url) as connection:
            connection.send(*((first + body,) if pieces == 1 else (first, body)))
            assert [connection.answer().status for _ in range(answers + 1)] == [200] * (answers + 1)


def test_long_body_in_chunks_with_small_extensions_is_a_body(guarded: Guarded) -> None:
    """X-03: as clients sign their chunks."""
    body = GOOD.ljust(4 << 20)
    parts = [body[start : start + (1 << 16)] for start in range(0, len(body), 1 << 16)]
    raw = b"".join(b"%x;chunk-signature=%b\r\n%b\r\n" % (len(part), b"0" * 64, part) for part in parts)

    assert answer_to(guarded.url, chunked_head(guarded) + raw + b"0\r\n\r\n").status == 200


@pytest.mark.alone
def test_endless_parts_cost_others_nothing(guarded: Guarded, measured: Measured) -> None:
    """X-03: four clients try one kind after the other; they share a processor with those who are measured."""
    good, tried = whole(guarded, GOOD), 0
    done = threading.Event()

    def attack(kinds: list[str]) -> None:
        nonlocal tried
        for kind in itertools.cycle(kinds):
            if done.wait(0.02):
                return
            start, again = ENDLESS[kind]
            with connected(guarded.url) as connection:
                sent_for_ever(connection, chunked_head(guarded) + start, again, 200_000)
            tried += 1

    with connected(guarded.url) as golden:
        with Asking(golden, good) as alone:
            alone.go_on(300)
        reset_peak(guarded.pid)
        before = resident_bytes(guarded.pid)
        attackers = [threading.Thread(target=attack, args=[list(ENDLESS)[first::4]]) for first in range(4)]
        for attacker in attackers:
            attacker.start()
        with Asking(golden, good) as beside:
            time.sleep(20 if LONG else 4)  # so long it is measured
        done.set()
        for attacker in attackers:
            attacker.join()
    grown = max(peak_bytes(guarded.pid) - before, 0)

    assert (alone.wrong, beside.wrong) == (0, 0)
    assert grown < 32 << 20
    assert beside.p99_ms < max(3 * alone.p99_ms, allowed(50))
    measured(
        "X-03",
        f"{tried} in a row: p99 of others {alone.p99_ms:.1f} ms before, {beside.p99_ms:.1f} ms beside, "
        f"{grown >> 10} KiB more memory at most",
    )


LARGE: dict[str, bytes] = {
    "value": b"x: " + b"a" * 100_000 + b"\r\n\r\n",
    "name": b"a" * 100_000 + b": x\r\n\r\n",
    "many headers": b"".join(b"x%d: %b\r\n" % (number, b"a" * 1000) for number in range(99)) + b"\r\n",
    "more than 100 headers": b"x: y\r\n" * 101 + b"\r\n",
    "a little": b"x: " + b"a" * LIMIT + b"\r\n\r\n",
    "no end": b"x: " + b"a" * 100_000,
}


@pytest.mark.parametrize("cut", [None, 10, 20_000, 60_000])
@pytest.mark.parametrize("large", LARGE)
@pytest.mark.parametrize("behind", ["probe", "short", "uvicorn", "three", "chunks"])
def test_large_head_behind_a_request_is_refused_after_its_answer(
    behind: str, large: str, cut: int | None, guarded: Guarded, measured: Measured
) -> None:
    """X-08: in one packet with it, or split anywhere."""
    probe = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
    short = whole(guarded, GOOD)
    first, answers = {
        "probe": (probe, 1),
        "short": (short, 1),
        "uvicorn": (whole(guarded, GOOD, path="/predict/iris?"), 1),
        "three": (probe + short + probe, 3),
        "chunks": (chunked_head(guarded) + in_chunks(GOOD), 1),
    }[behind]
    raw = first + probe.removesuffix(b"\r\n") + LARGE[large]
    packets = [raw] if cut is None else [raw[: len(first) + cut], raw[len(first) + cut :]]
    with connected(guarded.url) as connection:
        with contextlib.suppress(ConnectionError):
            connection.send(*packets)
        received = connection.rest()

    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"200"] * answers + [b"431"]
    measured("X-08", f"{len(LARGE)} large heads behind requests in one packet: 431 after their answers")


@pytest.mark.parametrize("path", ["a" * 100_000, "livez?" + "a" * 100_000], ids=["path", "query"])
def test_large_first_line_behind_a_request_is_refused_after_its_answer(path: str, guarded: Guarded) -> None:
    """X-08."""
    probe = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with connected(guarded.url) as connection:
        with contextlib.suppress(ConnectionError):
            connection.send(probe + probe.replace(b"livez", path.encode()))
        received = connection.rest()

    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"200", b"431"]
