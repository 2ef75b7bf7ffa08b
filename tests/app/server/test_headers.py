"""Heads that a proxy and the service may read differently are refused."""

from __future__ import annotations

import pytest

from app.security.errors import MalformedRequest
from app.server.headers import ONCE, require_unambiguous

HOST = (b"host", b"localhost")


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("1.1", [HOST]),
        ("1.0", [HOST]),
        ("1.0", []),
        ("1.1", [HOST, (b"accept", b"text/csv"), (b"accept", b"application/json")]),
        ("1.1", [HOST, *((name, b"x") for name in ONCE)]),
    ],
)
def test_head_that_everybody_reads_alike_is_accepted(version: str, headers: list[tuple[bytes, bytes]]) -> None:
    require_unambiguous(version, headers)


@pytest.mark.parametrize("version", ["0.9", "1.2", "2.0", "9.9"])
def test_other_versions_of_http_are_refused(version: str) -> None:
    with pytest.raises(MalformedRequest, match=r"HTTP/1\.1"):
        require_unambiguous(version, [HOST])


@pytest.mark.parametrize(("version", "hosts"), [("1.1", 0), ("1.1", 2), ("1.0", 2)])
def test_host_is_said_exactly_once(version: str, hosts: int) -> None:
    with pytest.raises(MalformedRequest, match="one Host header"):
        require_unambiguous(version, [HOST] * hosts)


@pytest.mark.parametrize("name", ONCE)
def test_header_of_which_the_first_or_the_last_may_count_is_refused_twice(name: bytes) -> None:
    with pytest.raises(MalformedRequest, match=name.decode()):
        require_unambiguous("1.1", [HOST, (name, b"a"), (b"accept", b"*/*"), (name, b"a")])
