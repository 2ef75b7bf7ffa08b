"""Requests are repeated only where that is safe."""

from __future__ import annotations

import httpx
import pytest

from tabserve import AsyncClient, Client, ServiceError, WrongInput
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


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(301, headers={"location": "https://here/"}), r"moved to https://here/; .* \(HTTP 301\)"),
        (httpx.Response(200, text="<html>Sign in"), "expected JSON of a Tabserve service, got '<html>Sign in'"),
        (httpx.Response(200, json=["x"]), "expected JSON of a Tabserve service"),
        (httpx.Response(502, headers={"content-type": "application/json"}, text="<html>"), r"<html> \(HTTP 502\)"),
    ],
)
def test_what_is_no_answer_of_the_service_is_an_error_that_shows_it(answer: httpx.Response, said: str) -> None:
    steps = get("models", "x")
    next(steps)

    with pytest.raises(ServiceError, match=said):
        steps.send(answer)


def test_an_address_that_is_none_is_named() -> None:
    assert Client("http://here/ml/").url == "http://here/ml"
    for client in (Client, AsyncClient):
        with pytest.raises(WrongInput, match=r"http://\[::1 is no address of a service"):
            client("http://[::1")
