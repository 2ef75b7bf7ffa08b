"""Offers of another protocol are ignored, and the request is answered normally (X-02)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from app.security.keys import Scope
from tests.app.server.live import high
from tests.app.sockets import GOOD, connected
from tests.attacks.conftest import Guarded
from tests.attacks.messages import head, in_chunks
from tests.promises import Measured

pytestmark = pytest.mark.slow

HIDDEN = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"  # as a body: valid HTTP, and no JSON
H2C = ("connection: Upgrade, HTTP2-Settings", "http2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA")
OFFERS: dict[str, tuple[str, ...]] = {
    "h2c": ("upgrade: h2c", *H2C),
    "websocket": ("Upgrade: websocket", "Connection: Upgrade", "sec-websocket-version: 13"),
    "TLS": ("upgrade: TLS/1.2", "connection: upgrade"),
    "several in one": ("upgrade: h2c, websocket, TLS/1.2", "connection: keep-alive, upgrade"),
    "several headers": ("upgrade: h2c", "connection: upgrade", "upgrade: websocket", "connection: keep-alive"),
    "shouted": ("UPGRADE: H2C", "CONNECTION: UPGRADE"),
    "of nothing": ("upgrade:", "connection: upgrade"),
    "without connection": ("upgrade: h2c",),
    "connection only": ("connection: upgrade",),
    "of something else": ("upgrade: foo/9", "connection: x, upgrade,y"),
}
FRAMES = ("length", "chunks", "one chunk a byte", "trailer")
PACKETS = ("one packet", "body apart", "byte by byte")
PATHS = ("/predict/iris", "/predict/iris?", "/predict", "/v2/models/iris/infer")


def message(guarded: Guarded, offer: tuple[str, ...], frame: str, body: bytes, path: str) -> tuple[bytes, bytes]:
    """Return head and body."""
    if frame == "length":
        return head(guarded, *offer, f"content-length: {len(body)}", path=path), body
    framed = in_chunks(body, 1 if frame == "one chunk a byte" else 1 << 20)
    if frame == "trailer":
        framed = framed.removesuffix(b"\r\n") + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n"
    return head(guarded, *offer, "transfer-encoding: chunked", path=path), framed


def sent(packets: str, *parts: bytes) -> list[bytes]:
    if packets == "one packet":
        return [b"".join(parts)]
    return [bytes([byte]) for byte in b"".join(parts)] if packets == "byte by byte" else list(parts)


@pytest.mark.parametrize("packets", PACKETS)
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
def test_offer_is_passed_over_and_the_connection_goes_on(
    offer: tuple[str, ...], frame: str, packets: str, guarded: Guarded
) -> None:
    """X-02: RFC 9110, section 7.8; the body is read by its length or chunks."""
    plain = head(guarded, f"content-length: {len(GOOD)}") + GOOD
    with connected(guarded.url) as connection:
        for path in ("/predict/iris", "/predict/iris?"):
            connection.send(*sent(packets, *message(guarded, offer, frame, GOOD, path)))
            assert high(connection.answer()) == 0.625
            connection.send(plain)
            assert high(connection.answer()) == 0.625


@pytest.mark.parametrize("packets", PACKETS)
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
def test_body_behind_an_offer_is_never_a_request(
    offer: tuple[str, ...], frame: str, packets: str, guarded: Guarded
) -> None:
    """X-02: what stands in it is not carried out; each request has one answer, and the next one its own."""
    last = head(guarded, "content-length: 2", "connection: close") + b"{}"
    for path in PATHS:
        with connected(guarded.url) as connection:
            connection.send(*sent(packets, *message(guarded, offer, frame, HIDDEN, path)))
            answer = connection.answer()
            assert answer.status == 400, answer
            if answer.headers.get("connection") != "close":
                connection.send(last)
                assert connection.answer().status == 422
            assert connection.rest() == b""


def test_offers_in_a_row_are_all_passed_over(guarded: Guarded, measured: Measured) -> None:
    """X-02: pipelined in one packet, one behind the other, with and without bodies."""
    rows = [part for offer in OFFERS.values() for frame in FRAMES for part in row(guarded, offer, frame)]
    with connected(guarded.url) as connection:
        connection.send(b"".join(raw for raw, _ in rows))
        for _, status in rows:
            assert connection.answer().status == status
    tried = len(OFFERS) * len(FRAMES) * len(PACKETS)
    measured("X-02", f"{tried} kinds of offers: all answered in HTTP/1.1, 0 bodies taken for requests")


def row(guarded: Guarded, offer: tuple[str, ...], frame: str) -> list[tuple[bytes, int]]:
    asked = b"".join(message(guarded, offer, frame, GOOD, "/predict/iris"))
    return [(asked, 200), (head(guarded, *offer, path="/livez", method="GET"), 200)]


def test_offer_with_expect_is_told_to_go_on(guarded: Guarded) -> None:
    """X-02."""
    start, body = message(guarded, (*OFFERS["h2c"], "expect: 100-continue"), "length", GOOD, "/predict/iris")
    with connected(guarded.url) as connection:
        connection.send(start)
        assert connection.head() == (100, {})
        connection.send(body)
        assert high(connection.answer()) == 0.625


def test_offer_in_http_1_0_is_passed_over(guarded: Guarded) -> None:
    """X-02: RFC 9110 has it ignored there."""
    start, body = message(guarded, OFFERS["h2c"], "length", GOOD, "/predict/iris")
    with connected(guarded.url) as connection:
        connection.send(start.replace(b"HTTP/1.1", b"HTTP/1.0") + body)
        assert high(connection.answer()) == 0.625
        assert connection.rest() == b""


@pytest.mark.parametrize("target", ["localhost:80", "/livez", "/predict/iris", "*"])
@pytest.mark.parametrize("offer", [(), *OFFERS.values()], ids=["plain", *OFFERS])
def test_connect_is_refused_and_nothing_behind_it_is_read(
    target: str, offer: tuple[str, ...], guarded: Guarded
) -> None:
    """X-02: whatever stands behind it is not HTTP."""
    start = head(guarded, *offer, f"content-length: {len(HIDDEN)}", path=target, method="CONNECT")
    for packets in ([start + HIDDEN + HIDDEN], [start, HIDDEN, HIDDEN]):
        with connected(guarded.url) as connection:
            connection.send(packets[0])
            assert connection.answer().status == 400
            assert b'"live"' not in connection.rest()


def test_nothing_behind_the_last_request_of_a_connection_is_carried_out(guarded: Guarded) -> None:
    """X-02: RFC 9112, section 9.6; on both ways."""
    for path in ("/predict/iris", "/predict/iris?", "/predict"):
        last = head(guarded, "connection: close", f"content-length: {len(GOOD)}", path=path) + GOOD
        before = counted_probes(guarded)
        with connected(guarded.url) as connection:
            connection.send(last + HIDDEN * 3)
            connection.answer()
            assert connection.rest() == b""
        assert counted_probes(guarded) == before


def counted_probes(guarded: Guarded) -> list[str]:
    shown = guarded.client.get("/metrics", headers=guarded.bearer(Scope.METRICS)).text
    return [line for line in shown.splitlines() if line.startswith("tabserve_http_requests_total") and "/livez" in line]


JAVA = """
import java.net.URI;
import java.net.http.*;

public class Ask {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();  // offers h2c with its first request
        for (int round = 0; round < 3; round++) {
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(arguments[0]))
                .header("content-type", "application/json").header("authorization", arguments[1])
                .POST(round == 1
                    ? HttpRequest.BodyPublishers.fromPublisher(HttpRequest.BodyPublishers.ofString(arguments[2]))
                    : HttpRequest.BodyPublishers.ofString(arguments[2]));
            HttpResponse<String> answer = client.send(request.build(), HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.version() + " " + answer.body());
        }
    }
}
"""


@pytest.mark.skipif(not shutil.which("javac"), reason="no JDK is installed; scripts/packages does it")
def test_client_of_the_jdk_is_answered_as_it_comes(guarded: Guarded, tmp_path: Path) -> None:
    """X-02: with a length, in chunks, and on the connection that it keeps."""
    source = tmp_path / "Ask.java"
    source.write_text(JAVA)
    key = guarded.bearer(Scope.PREDICT)["authorization"]
    asked = ["java", str(source), str(guarded.url.join("/predict/iris")), key, GOOD.decode()]

    said = subprocess.run(asked, capture_output=True, text=True, timeout=300, check=False)

    assert said.returncode == 0, said.stderr
    assert [line.split(" ")[:2] for line in said.stdout.splitlines()] == [["200", "HTTP_1_1"]] * 3
    assert all('"predictions"' in line for line in said.stdout.splitlines())


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl is installed; scripts/packages does it")
def test_curl_that_offers_http_2_is_answered(guarded: Guarded) -> None:
    """X-02: a body with a length and one in chunks, over one connection."""
    key = guarded.bearer(Scope.PREDICT)["authorization"]
    headers = ["-H", "content-type: application/json", "-H", f"authorization: {key}"]
    url = str(guarded.url.join("/predict/iris"))
    one = ["--http2", "-sS", "-w", "\n%{http_code} %{num_connects}\n", *headers, "-d", GOOD.decode(), url]

    said = subprocess.run(
        ["curl", *one, "--next", *one[:-3], "-H", "transfer-encoding: chunked", *one[-3:]],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert said.returncode == 0, said.stderr
    assert [line for line in said.stdout.splitlines() if not line.startswith("{")] == ["200 1", "200 0"]
