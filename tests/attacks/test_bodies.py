"""Large, compressed or foreign bodies: refused before they cost (S-13, S-14, S-21)."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import time
import zlib

import pytest

from app.security.keys import Scope
from tests.app.sockets import GOOD, Connection, connected
from tests.attacks.conftest import Guarded
from tests.attacks.measuring import Asking, resident_bytes
from tests.attacks.messages import CAP, answer_to, head, in_chunks, post, whole
from tests.attacks.test_scopes import ROUTES, concrete
from tests.promises import Measured, allowed

pytestmark = pytest.mark.slow

FEW = 2 << 20  # bytes that the kernel may buffer in addition to the 64 KiB that are read


@pytest.mark.parametrize("path", ["/predict/iris", "/predict"])
def test_body_at_the_cap_is_answered_and_a_byte_more_refused_declared_or_not(path: str, guarded: Guarded) -> None:
    named = GOOD if path != "/predict" else GOOD.replace(b"{", b'{"model": "iris", ', 1)
    fits, over = named.ljust(CAP), named.ljust(CAP + 1)

    assert post(guarded, head(guarded, f"content-length: {CAP}", path=path) + fits) == 200
    assert post(guarded, head(guarded, f"content-length: {CAP + 1}", path=path) + over) == 413
    assert post(guarded, head(guarded, "transfer-encoding: chunked", path=path) + in_chunks(fits)) == 200
    assert post(guarded, head(guarded, "transfer-encoding: chunked", path=path) + in_chunks(over)) == 413


@pytest.mark.parametrize("length", ["-1", "abc", str(1 << 64), "+5", "1_0", "5, 6", "0x10", "1.0", "9" * 400])
def test_length_that_is_no_number_of_bytes_is_refused(length: str, guarded: Guarded) -> None:
    assert post(guarded, head(guarded, f"content-length: {length}") + GOOD) in (400, 413)


@pytest.mark.parametrize("path", ["/predict/iris", "/v2/models/iris/infer", "/predict/iris?"])
def test_body_in_tens_of_thousands_of_tiny_chunks_is_refused_and_the_refusal_can_be_read(
    path: str, guarded: Guarded
) -> None:
    for size in (1, 2, 3):
        body = in_chunks(GOOD.ljust(65_537 * size), size)
        answer = answer_to(guarded.url, head(guarded, "transfer-encoding: chunked", path=path) + body)
        assert answer.status == 400
        assert b"chunks" in answer.body


@pytest.mark.parametrize(("count", "size"), [(1000, 1), (65_537, 4)], ids=["few", "many"])
def test_body_in_small_chunks_is_a_body(count: int, size: int, guarded: Guarded) -> None:
    body = in_chunks(GOOD.ljust(count * size), size)

    assert post(guarded, head(guarded, "transfer-encoding: chunked") + body) == 200


@pytest.mark.alone
def test_tiny_chunks_hold_up_nobody(guarded: Guarded, measured: Measured) -> None:
    """S-13: all chunks of a packet are parsed at once, so their number is limited."""
    good = whole(guarded, GOOD)
    tiny = head(guarded, "transfer-encoding: chunked") + in_chunks(GOOD.ljust(1 << 20), 1)
    before = resident_bytes(guarded.pid)
    with connected(guarded.url) as golden, Asking(golden, good) as beside:
        assert [post(guarded, tiny[: 1 << 20]) for _ in range(20)] == [400] * 20
    grown = resident_bytes(guarded.pid) - before

    assert beside.wrong == 0
    assert beside.p99_ms < allowed(50)
    assert grown < 8 << 20
    measured("S-13", f"100,000s of one-byte chunks: 400, p99 of others beside {beside.p99_ms:.1f} ms")


@pytest.mark.alone
def test_stranger_is_answered_before_the_body_is_read(guarded: Guarded, measured: Measured) -> None:
    """S-13: the key is checked first, before any body; other clients are not affected."""
    good = whole(guarded, GOOD)
    before = resident_bytes(guarded.pid)
    with contextlib.ExitStack() as stack:
        golden, *connections = [stack.enter_context(connected(guarded.url)) for _ in range(51)]
        with Asking(golden, good) as alone:
            time.sleep(1)  # so long it is measured
        with Asking(golden, good) as beside:
            for connection in connections:
                connection.send(head(guarded, f"content-length: {64 << 20}", key=False))
            assert [connection.answer().status for connection in connections] == [401] * 50
            assert max(sent_until_full(connection) for connection in connections[:5]) < FEW + (4 << 20)
            time.sleep(1)
    grown = resident_bytes(guarded.pid) - before

    assert (alone.wrong, beside.wrong) == (0, 0)
    assert grown < 32 << 20
    assert beside.p99_ms < max(2 * alone.p99_ms, allowed(50))
    figures = (
        f"{grown >> 10} KiB more memory, p99 of others {alone.p99_ms:.1f} ms before, {beside.p99_ms:.1f} ms beside"
    )
    measured("S-13", f"50 bodies of 64 MiB without a key: 401 unread, {figures}")


def sent_until_full(connection: Connection) -> int:
    """Return the number of bytes of a body that the service accepts before it stops reading."""
    connection.socket.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError, ConnectionError):
        while sent < 64 << 20:
            sent += connection.socket.send(b"x" * (1 << 16))
    return sent


@pytest.mark.parametrize("size", [100, 1 << 20])
def test_refusal_can_be_read_by_a_client_that_sends_all_of_its_body_first(size: int, guarded: Guarded) -> None:
    for _ in range(5):
        assert post(guarded, head(guarded, f"content-length: {size}", key=False) + b" " * size) == 401


def test_connection_of_a_small_refused_body_can_be_used_again(guarded: Guarded) -> None:
    with connected(guarded.url) as connection:
        for _ in range(2):
            connection.send(head(guarded, f"content-length: {len(GOOD)}", key=False) + GOOD)
            assert connection.answer().status == 401
        connection.send(head(guarded, f"content-length: {len(GOOD)}") + GOOD)
        assert connection.answer().status == 200


def compressed_bodies() -> dict[str, bytes]:
    zeros = b"\0" * (100 << 20)
    bomb = gzip.compress(zeros, 1)
    return {
        "gzip": bomb,
        "deflate": zlib.compress(zeros, 1),
        "br": b"\x0b\x02\x80",
        "zstd": b"\x28\xb5\x2f\xfd",
        "gzip, gzip": gzip.compress(bomb),
        "identity, gzip": b"x",
        "x-gzip": b"x",
        "GZIP": b"x",
        "": b"x",
    }


@pytest.mark.alone
def test_compressed_bodies_are_refused_unread(guarded: Guarded, measured: Measured) -> None:
    """S-14: each encoding on each path, including bombs of 100 MiB, and an empty body."""
    before, took_s = resident_bytes(guarded.pid), list[float]()
    for encoding, compressed in compressed_bodies().items():
        for path in ("/predict/iris", "/predict", "/predict/iris?", "/v2/models/iris/infer"):
            for body in (compressed, compressed[:1000], b""):
                began = time.perf_counter()
                assert post(guarded, whole(guarded, body, f"content-encoding: {encoding}", path=path)) == 415
                took_s.append(time.perf_counter() - began)
    grown = resident_bytes(guarded.pid) - before

    assert len(took_s) >= 100
    assert grown < 16 << 20
    measured(
        "S-14", f"{len(took_s)} compressed bodies: all 415, slowest {max(took_s) * 1000:.0f} ms, {grown >> 10} KiB"
    )
    assert sorted(took_s)[-2] < allowed(0.1)


def test_identity_is_no_compression(guarded: Guarded) -> None:
    assert post(guarded, whole(guarded, GOOD, "content-encoding: identity")) == 200


FILE = b'--x\r\nContent-Disposition: form-data; name="instances"; filename="a"\r\n\r\n1\r\n--x--'
FORMS = {
    "multipart/form-data; boundary=x": FILE,
    "multipart/form-data": b"--",
    "multipart/mixed; boundary=x": b"--x--",
    "application/x-www-form-urlencoded": b"instances=%5B%5B1%2C2%2C3%2C4%5D%5D",
    "application/x-www-form-urlencoded; charset=utf-8": b"a=1&" * 1000,
    "text/plain": GOOD,
    "application/x-tar": b"\x80\x04K\x01.",
    "application/vnd.bentoml+pickle": b"\x80\x04K\x01.",
    "application/xml": b"<a/>",
    "image/svg+xml": b"<svg/>",
}


def test_forms_and_files_are_taken_nowhere(guarded: Guarded, measured: Measured) -> None:
    """S-21: every route that reads a body, every kind of form; what could parse one is not installed."""
    assert not [name for name in ("multipart", "python_multipart") if importlib.util.find_spec(name)]
    bodiless = ("activate", "promote", "retry", "shadow")
    read = [route for route in ROUTES if route.startswith(("POST", "PUT")) and not route.endswith(bodiless)]
    refused = 0
    for route in read:
        method, path = route.split(" ")
        scope = ROUTES[route]
        assert scope is not None
        if path == "/v2/repository/index":
            continue  # accepts a JSON query with any content type, as Triton's clients send it
        for kind, body in FORMS.items():
            headers = {**guarded.bearer(scope), "content-type": kind}
            answer = guarded.client.request(method, concrete(path), content=body, headers=headers)
            # a data set has any content type: such a body is no table, and is never parsed as a form
            allowed = (415, 422) if path == "/datasets/{name}" else (415,)
            assert answer.status_code in allowed, (route, kind, answer.text)
            refused += 1
    measured("S-21", f"{refused} forms and files on {len(read) - 1} routes: all 415; no form parser is installed")
    assert refused >= 70


def test_ranges_are_passed_over(guarded: Guarded) -> None:
    whole_file = guarded.client.get("/docs/swagger-ui.css", headers=guarded.bearer(Scope.PREDICT))
    for given in ("bytes=0-1", "bytes=-1", "bytes=0-0," * 1000, "bytes=9-0", "x"):
        headers = {**guarded.bearer(Scope.PREDICT), "range": given}
        answer = guarded.client.get("/docs/swagger-ui.css", headers=headers)
        assert (answer.status_code, answer.content) == (200, whole_file.content)
        assert "accept-ranges" not in answer.headers
