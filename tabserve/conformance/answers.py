"""Answers of a server that may send anything, read within limits."""

from __future__ import annotations

import time
from typing import Any

import httpx

from tabserve.conformance.rules import RuleBroken
from tabserve.errors import ServiceUnreachable

MOST_BYTES = 16 << 20
TIMEOUT_S = 30.0
_OF_THE_WAY = ("content-encoding", "content-length", "transfer-encoding")  # these say how the body was sent


def read_answer(client: httpx.Client, method: str, path: str, **content: Any) -> httpx.Response:
    """Send a request and return its answer, which is read to its end.

    Raises:
        RuleBroken: if it is larger than `MOST_BYTES`, or not complete after `TIMEOUT_S`.
        ServiceUnreachable: if nothing listens there.
        httpx.TransportError: if the connection breaks off.
    """
    deadline, body = time.monotonic() + TIMEOUT_S, bytearray()
    try:
        with client.stream(method, path, **content) as response:
            for piece in response.iter_bytes(1 << 16):
                body += piece
                if len(body) > MOST_BYTES:
                    raise RuleBroken(f"the answer is larger than {MOST_BYTES >> 20} MiB")
                if time.monotonic() > deadline:
                    raise RuleBroken(f"the answer is not complete after {TIMEOUT_S:.0f} s")
    except httpx.ConnectError as error:
        raise ServiceUnreachable(str(client.base_url), str(error)) from error
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in _OF_THE_WAY]
    return httpx.Response(response.status_code, headers=headers, content=bytes(body))
