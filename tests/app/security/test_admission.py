"""Requests are admitted by their headers alone; known callers skip most of the checks."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from app.context import RequestContext
from app.errors import DeadlinePassed, TooManyInFlight
from app.security.admission import (
    ANONYMOUS,
    COUNTED,
    TIMEOUT_HEADER,
    RequestAdmission,
    create_admission,
    enforce_deadline,
)
from app.security.authenticator import Authenticator
from app.security.errors import (
    EncodedBody,
    HostNotServed,
    MalformedRequest,
    NotAuthenticated,
    RateLimited,
    RouteNotFound,
    ScopeMissing,
)
from app.security.keyring import Keyring
from app.security.keys import KeyFile, Scope
from app.settings import Settings
from app.telemetry.metrics import ServingMetrics

PREDICT = frozenset((Scope.PREDICT,))


def admission(**settings: object) -> RequestAdmission:
    return create_admission(Settings.model_validate(settings), ServingMetrics())


def admit(admission: RequestAdmission, path: str, method: str = "POST", counted: bool = False, **headers: str) -> str:
    """Return the id of the caller that is admitted, or nothing if it has none."""
    scope = {"method": method, "path": path, "client": ("192.0.2.1", 5000), **({COUNTED: True} if counted else {})}
    given = {b"host": b"localhost"} | {
        name.replace("_", "-").encode(): value.encode() for name, value in headers.items()
    }
    match = admission.table.match(method, path)
    return admission.admit(scope, given, match.route).caller.key_id or ""


def test_probe_is_admitted_whatever_its_headers() -> None:
    assert admit(admission(max_in_flight=1), "/livez", "GET", host="evil.test", authorization="Basic x") == ""


def test_key_is_admitted_to_what_its_scopes_open(file: KeyFile) -> None:
    key = file.create(PREDICT, None, "")
    service = admission(keys_file=file.path)

    assert admit(service, "/predict/means", authorization=f"Bearer {key}") == key.split("_")[1]
    with pytest.raises(ScopeMissing):
        admit(service, "/train", authorization=f"Bearer {key}")
    with pytest.raises(NotAuthenticated):
        admit(service, "/predict/means")


def test_caller_without_a_key_does_not_learn_which_routes_there_are(file: KeyFile) -> None:
    key = file.create(PREDICT, None, "")
    service = admission(keys_file=file.path)

    with pytest.raises(RouteNotFound):
        admit(service, "/nowhere", authorization=f"Bearer {key}")
    with pytest.raises(NotAuthenticated):
        admit(service, "/train")


def test_name_that_is_not_served_and_body_that_is_encoded_are_refused() -> None:
    with pytest.raises(HostNotServed):
        admit(admission(), "/predict/means", host="evil.test")
    with pytest.raises(EncodedBody):
        admit(admission(), "/predict/means", content_encoding="gzip")


def test_request_that_is_counted_already_costs_no_second_token() -> None:
    service = admission(rate_per_s=0.001, rate_burst=1)

    admit(service, "/predict/means", counted=True)
    admit(service, "/predict/means")
    with pytest.raises(RateLimited):
        admit(service, "/predict/means")
    admit(service, "/predict/means", counted=True)


def test_requests_in_progress_are_bounded_except_for_metrics() -> None:
    service = admission(max_in_flight=1)
    service.metrics.in_progress = 2

    with pytest.raises(TooManyInFlight):
        admit(service, "/predict/means")
    assert admit(service, "/metrics", "GET") == ""


def test_known_caller_is_admitted_again_until_the_keys_change(file: KeyFile) -> None:
    key = file.create(PREDICT, None, "")
    keyring = Keyring(file)
    keyring.load()
    service = replace(admission(max_in_flight=1), authenticator=Authenticator(keyring, frozenset(), None))
    known = service.recognise({b"host": b"localhost", b"authorization": b"Bearer " + key.encode()})
    assert known is not None

    assert service.admit_again(known, "192.0.2.1")
    service.metrics.in_progress = 1
    assert not service.admit_again(known, "192.0.2.1")
    service.metrics.in_progress = 0
    file.create(PREDICT, None, "another")
    keyring.load()
    assert not service.admit_again(known, "192.0.2.1")


def test_caller_that_may_not_predict_is_not_known(file: KeyFile) -> None:
    key = file.create(frozenset((Scope.METRICS,)), None, "")
    service = admission(keys_file=file.path)

    assert service.recognise({b"host": b"localhost", b"authorization": b"Bearer " + key.encode()}) is None
    assert service.recognise({b"host": b"localhost"}) is None
    assert service.recognise({b"host": b"localhost", b"authorization": b"Bearer wrong"}) is None


def test_caller_on_this_machine_is_known_without_a_key() -> None:
    service = admission()

    known = service.recognise({b"host": b"localhost"})

    assert known is not None
    assert known.caller.key_id is ANONYMOUS.key_id
    assert service.recognise({b"host": b"evil.test"}) is None


async def work(header: bytes | None, seconds: float) -> RequestContext:
    context = RequestContext("id")
    async with enforce_deadline(context, {} if header is None else {TIMEOUT_HEADER: header}, None):
        await asyncio.sleep(seconds)
    return context


def test_deadline_in_the_headers_ends_the_work() -> None:
    begun_ns = time.perf_counter_ns()

    with pytest.raises(DeadlinePassed):
        asyncio.run(work(b"10", 60))
    deadline = asyncio.run(work(b"60000", 0)).deadline
    assert deadline.at_ns is not None
    assert deadline.at_ns >= begun_ns + 60_000_000_000
    assert asyncio.run(work(None, 0)).deadline.at_ns is None


@pytest.mark.parametrize("header", [b"", b"0", b"-1", b"1.5", b"1s", b"1000000000", "\u0663".encode()])
def test_deadline_that_is_no_number_of_milliseconds_is_refused(header: bytes) -> None:
    with pytest.raises(MalformedRequest):
        asyncio.run(work(header, 0))
