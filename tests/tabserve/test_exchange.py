"""Requests are repeated only where that is safe."""

from __future__ import annotations

import httpx
import pytest

from tabserve import ServiceError
from tabserve.exchange import Call, Repeat, get, path_of, require_ok, wait_before_retry

BUSY = httpx.Response(503, headers={"retry-after": "2"})
REFUSED = httpx.ConnectError("refused")
BROKEN = httpx.ReadError("reset")


@pytest.mark.parametrize(
    ("repeat", "outcome", "pause_s"),
    [
        ("never", REFUSED, None),
        ("never", BUSY, None),
        ("refused", REFUSED, 0.1),
        ("refused", BUSY, 2.0),
        ("refused", BROKEN, None),  # the service may have begun
        ("always", BROKEN, 0.1),
        ("always", httpx.Response(503), None),
        ("always", httpx.Response(503, headers={"retry-after": "3600"}), None),
        ("always", httpx.Response(422), None),
        ("always", httpx.Response(200), None),
    ],
)
def test_only_what_is_safe_is_sent_again(
    repeat: Repeat, outcome: httpx.Response | httpx.TransportError, pause_s: float | None
) -> None:
    assert wait_before_retry(Call("POST", "/", repeat=repeat), 1, outcome) == pause_s


def test_pauses_grow_and_end() -> None:
    call = Call("GET", "/", repeat="always")

    assert [wait_before_retry(call, attempt, BROKEN) for attempt in (1, 2, 3, 4)] == [0.1, 0.2, 0.4, None]


def test_names_are_quoted_in_paths() -> None:
    assert path_of("models", "a/b c", 3) == "/models/a%2Fb%20c/3"


def test_an_error_is_raised_with_its_text() -> None:
    answer = httpx.Response(404, json={"type": "urn:tabserve:problem:model-not-found", "detail": "no model"})
    steps = get("models", "x")
    call = next(steps)

    assert (call.method, call.path, call.repeat) == ("GET", "/models/x", "always")
    with pytest.raises(ServiceError, match=r"no model \(HTTP 404\)"):
        steps.send(answer)
    assert require_ok(httpx.Response(204)).status_code == 204
