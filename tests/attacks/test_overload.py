"""Overload is refused at once; rows of absent clients are not computed (F-16, F-17)."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.app.server.live import LIVEZ
from tests.app.sockets import GOOD, JSON, Connection, connected, held_still, request
from tests.app.telemetry.figures import held_up, in_progress
from tests.app.waiting import until
from tests.attacks.conftest import Guarded, keyless, store_in
from tests.attacks.measuring import resident_bytes
from tests.faults.scenes import rounds
from tests.processes import service
from tests.promises import LONG, Measured, allowed

pytestmark = pytest.mark.slow

WAIT_S = 1.0


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Run a service that delays its batches, so that requests are in the queue; the queue is short."""
    settings = {"TABSERVE_MAX_BATCH_WAIT_S": f"{WAIT_S}", "TABSERVE_MAX_QUEUE_ROWS": "8"}
    with keyless(tmp_path_factory.mktemp("patient"), settings) as patient:
        yield patient


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Run a service that answers twelve requests at a time, each after a second."""
    settings = {"TABSERVE_MAX_BATCH_WAIT_S": f"{WAIT_S}", "TABSERVE_MAX_IN_FLIGHT": "12"}
    with keyless(tmp_path_factory.mktemp("crowded"), settings) as crowded:
        yield crowded


def rows_answered(client: httpx.Client) -> float:
    found = re.search(
        r'tabserve_inference_rows_total\{model="iris",version="1"\} ([0-9.]+)', client.get("/metrics").text
    )
    return float(found[1]) if found else 0.0


def known(connections: list[Connection]) -> list[Connection]:
    """Have each answered once, so that the service reads what comes on them next in the order in which it comes."""
    for connection in connections:
        connection.send(LIVEZ)
        assert connection.answer().status == 200
    return connections


@pytest.mark.parametrize("path", ["/predict/iris", "/predict/iris?"])
def test_queue_of_eight_refuses_exactly_the_two_that_are_too_many(
    path: str, patient: Guarded, measured: Measured
) -> None:
    with contextlib.ExitStack() as stack:
        connections = known([stack.enter_context(connected(patient.url)) for _ in range(10)])
        with held_still(patient.pid):
            for connection in connections:
                connection.send(request(path=path))
        answers = [connection.answer() for connection in connections]

    assert sorted(answer.status for answer in answers) == [200] * 8 + [429] * 2
    assert all("retry-after" in answer.headers for answer in answers if answer.status == 429)
    measured("F-16", "a queue of 8 and 10 requests: exactly 2 refused")


@pytest.mark.parametrize("path", ["/predict/iris", "/predict/iris?"])
@pytest.mark.parametrize("late", [0, 50], ids=["whole", "in two packets"])
def test_requests_beyond_those_in_flight_are_refused_at_once(path: str, late: int, crowded: Guarded) -> None:
    message, crowd = request(GOOD.ljust(100), path), 12
    with contextlib.ExitStack() as stack:
        last, probe, *others = known([stack.enter_context(connected(crowded.url)) for _ in range(crowd + 2)])
        last.send(message[: len(message) - late] if late else b"")  # below the limit now, but not when it is complete
        if late:
            until(lambda: held_up(crowded.client) == 1, "the first packet has come")
        with held_still(crowded.pid):
            for connection in others:
                connection.send(request(path=path))
            probe.send(LIVEZ)
            last.send(message[-late:])
        began = time.perf_counter()
        probed, answer = probe.answer(), last.answer()
        took_s = time.perf_counter() - began
        accepted = [connection.answer().status for connection in others]

    assert probed.status == 200
    assert accepted == [200] * crowd
    assert answer.status == 503
    assert json.loads(answer.body)["type"] == "urn:tabserve:problem:too-many-in-flight"
    assert int(answer.headers["retry-after"]) >= 1
    assert took_s < allowed(0.6)


def test_work_past_its_deadline_is_not_computed(patient: Guarded) -> None:
    before = rows_answered(patient.client)
    hasty = {**JSON, "x-request-timeout-ms": "50"}
    with contextlib.ExitStack() as stack:
        connections = known([stack.enter_context(connected(patient.url)) for _ in range(6)])
        began = time.perf_counter()
        with held_still(patient.pid):
            for connection in connections:
                connection.send(request(headers=hasty))
        answers = [connection.answer() for connection in connections]
    took_s = time.perf_counter() - began

    assert [answer.status for answer in answers] == [504] * 6
    assert json.loads(answers[0].body)["type"] == "urn:tabserve:problem:deadline-passed"
    assert took_s < allowed(0.6)
    with connected(patient.url) as connection:
        connection.send(request())
        assert connection.answer().status == 200
    assert rows_answered(patient.client) - before == 1


@pytest.mark.parametrize("path", ["/predict/iris", "/predict/iris?"])
def test_work_of_clients_that_went_away_is_not_computed(path: str, patient: Guarded) -> None:
    before = rows_answered(patient.client)
    for _ in range(6):
        with connected(patient.url) as connection:
            connection.send(request(path=path))
            connection.reset()
    with connected(patient.url) as connection:
        connection.send(request())
        assert connection.answer().status == 200

    assert rows_answered(patient.client) - before == 1


def test_deadline_that_is_long_enough_changes_nothing(patient: Guarded) -> None:
    with connected(patient.url) as connection:
        connection.send(request(headers={**JSON, "x-request-timeout-ms": "20000"}))
        assert connection.answer().status == 200


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "soon", "9" * 12, "1e3", "+5", "50, 60"])
def test_deadline_that_is_no_number_is_refused(value: str, patient: Guarded) -> None:
    with connected(patient.url) as connection:
        connection.send(request(headers={**JSON, "x-request-timeout-ms": value}))
        answer = connection.answer()

    assert answer.status == 400
    assert "X-Request-Timeout-Ms" in json.loads(answer.body)["detail"]


@pytest.mark.alone
def test_a_thousand_requests_past_their_deadline_are_not_computed(tmp_path: Path, measured: Measured) -> None:
    """F-17: a deadline of 50 ms behind a batch that is delayed by a second; all are read when it begins to wait."""
    store_in(tmp_path)
    message = request(headers={**JSON, "x-request-timeout-ms": "50"})
    with (
        service(tmp_path, environment={"TABSERVE_MAX_BATCH_WAIT_S": f"{WAIT_S}"}) as (client, server),
        contextlib.ExitStack() as stack,
    ):
        connections = known([stack.enter_context(connected(client.base_url)) for _ in range(1000)])
        before = rows_answered(client)
        with held_still(server.pid):
            for connection in connections:
                connection.send(message)
        statuses = [connection.answer().status for connection in connections]
        assert client.post("/predict/iris", content=GOOD, headers=JSON).status_code == 200
        computed = rows_answered(client) - before - 1

    assert statuses == [504] * 1000
    assert computed == 0
    measured("F-17", "1,000 requests with 50 ms behind a batch of 1 s: 0 computed, all are 504")


PLACES = 8  # a batch answers the queued requests after 0.1 s: 80 a second on any machine
PERIOD_S = 0.1
BUSY_MS, LEAST = (0, 0.9) if LONG else (1000, 0.6)  # allowance for other load on the machine


@pytest.mark.alone
def test_overload_is_refused_at_once_and_those_who_are_let_in_are_served_as_before(
    tmp_path: Path, measured: Measured
) -> None:
    """F-16: five windows of 2 s; long: of a minute. The batches take their time, as those of a heavy model would."""
    store_in(tmp_path)
    seconds, figures = rounds(2, 60), []
    environment = {"TABSERVE_MAX_QUEUE_ROWS": f"{PLACES}", "TABSERVE_MAX_BATCH_WAIT_S": f"{PERIOD_S}"}
    with service(tmp_path, environment=environment) as (client, process):
        offer(client, 200, 1)  # the first requests of many clients are slower
        memory = resident_bytes(process.pid)
        before = offer(client, 0, seconds)
        alone_ms = before.p99_ms
        for times in (4, 10):
            over = offer(client, times * before.goodput, seconds)
            after = offer(client, 0, seconds)
            capacity = (before.goodput + after.goodput) / 2
            figures.append((times, over, capacity))
            before = after
        grown = max(resident_bytes(process.pid) - memory, 0)
        until(lambda: in_progress(client) == 1, "nothing is in progress but the request that asks")

    told = []
    for times, over, capacity in figures:
        share = over.goodput / capacity
        refused = f"refusals in {over.refused_p99_ms:.0f} ms"
        told.append(
            f"{times} times the capacity offered: {share:.0%} of it answered, p99 {over.p99_ms:.0f} ms, {refused}"
        )
        assert over.refused > 0, times
        assert share > LEAST, times
        assert over.p99_ms < 1000 * PERIOD_S + 2 * before.p99_ms + BUSY_MS
        assert over.refused_p99_ms < 50 + BUSY_MS
    assert before.p99_ms < 1.2 * alone_ms + BUSY_MS
    measured("F-16", f"{'; '.join(told)}; {grown >> 10} KiB more memory")
    assert grown < 64 << 20


@dataclass(frozen=True)
class Load:
    """Result of a load, in responses per second."""

    offered: float
    goodput: float
    refused: float
    p99_ms: float
    refused_p99_ms: float


def offer(client: httpx.Client, rate: float, seconds: int) -> Load:
    """Offer so many requests a second, whatever becomes of them; with rate 0 as many as `PLACES` clients can ask."""
    numbers = map(str, (client.base_url.port, round(rate), PLACES, seconds))
    command = [sys.executable, "-m", "tests.attacks.crowd", *numbers]
    done = subprocess.run(command, input=request(), capture_output=True, check=True)
    return Load(**json.loads(done.stdout))
