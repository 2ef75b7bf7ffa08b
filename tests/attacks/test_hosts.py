"""Headers that guard and routing could read differently open no protected route (S-06)."""

from __future__ import annotations

import itertools

import pytest

from tests.app.sockets import connected
from tests.attacks.conftest import Guarded
from tests.promises import Measured

pytestmark = pytest.mark.slow

PROTECTED = (
    "GET /metrics",
    "GET /models",
    "POST /predict/iris",
    "GET /train",
    "GET /v2",
    "DELETE /models/iris/versions/1",
)
HOSTS = (
    "localhost/livez?", "a/docs#", "localhost/readyz", "x:y@localhost", "localhost:80:80", "", " ", "/livez", "livez",
    "[::1]/livez", "localhost\thealth", "..", "*", "localhost,livez", "//livez", "?livez", "#livez",
    "livez.localhost/../", "%6cocalhost", "localhost%2flivez", "-", "localhost:99999999", "\\livez", "'livez'",
)  # fmt: skip
FORWARDED = (
    "X-Forwarded-Host: livez", "X-Forwarded-Prefix: /livez", "X-Original-URL: /livez", "X-Rewrite-URL: /livez",
    "X-Forwarded-Path: /livez", "X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: host=livez",
    "X-Forwarded-Uri: /livez", "X-Http-Method-Override: GET", "X-Method-Override: HEAD", "X-Original-Host: livez",
    "Connection: authorization", "Authorization: Bearer ", "X-API-Key: tabserve", "Cookie: key=tabserve",
)  # fmt: skip
TARGETS = (
    "http://localhost/livez{path}", "http://livez{path}", "//livez{path}", "@livez{path}", "livez{path}",
    "{path}#/livez",    "/livez?{path}/../..{path}", "{path}?x=/livez", "/livez\\..{path}", "http://localhost{path}", "https://localhost{path}",
)  # fmt: skip


def heads() -> list[str]:
    found = []
    for route, host in itertools.product(PROTECTED, HOSTS):
        found.append(f"{route} HTTP/1.1\r\nHost: {host}\r\n\r\n")
    for route, header in itertools.product(PROTECTED, FORWARDED):
        found.append(f"{route} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n")
    for route, target in itertools.product(PROTECTED, TARGETS):
        method, path = route.split(" ")
        found.append(f"{method} {target.format(path=path)} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for route in PROTECTED:
        found.append(f"{route} HTTP/1.1\r\n\r\n")
        found.append(f"{route} HTTP/1.1\r\nHost: localhost\r\nHost: livez\r\n\r\n")
        found.append(f"{route} HTTP/1.0\r\n\r\n")
        found.append(f"{route} HTTP/0.9\r\n\r\n")
        found.append(f"{route}\r\n\r\n")
    return found


# The path of these is a probe's, so the response is never that of another route.
PROBE = "GET /livez?/"


def test_no_head_opens_a_protected_route(guarded: Guarded, measured: Measured) -> None:
    tried = [head for head in heads() if not head.startswith(PROBE)]
    assert len(tried) >= 300
    for head in tried:
        with connected(guarded.url) as connection:
            connection.send(head.encode("latin-1"))
            answer = connection.answer()
        assert answer.status in (400, 401, 404, 405, 421, 429), (head, answer)
        assert b"iris" not in answer.body
    measured("S-06", f"{len(tried)} heads that lie about host and path: none opens a protected route")


@pytest.mark.parametrize("head", [head for head in heads() if head.startswith(PROBE)])
def test_probe_with_a_strange_query_is_a_probe(head: str, guarded: Guarded) -> None:
    with connected(guarded.url) as connection:
        connection.send(head.encode("latin-1"))
        assert connection.answer().body == b'{"live":true}\n'
