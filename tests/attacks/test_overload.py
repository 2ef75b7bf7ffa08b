"""More than can be done: refused at once and by name, and nothing is computed that nobody waits for (F-16, F-17)."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.sockets import GOOD, JSON, connected, request
from tests.attacks.conftest import Guarded, store_in
from tests.processes import service

WAIT_S = 0.6


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Run a service whose batches wait for company, so that requests can be caught waiting; few may wait."""
    folder = tmp_path_factory.mktemp("patient")
    store_in(folder)
    environment = {
        "TABSERVE_MAX_BATCH_WAIT_S": f"{WAIT_S}",
        "TABSERVE_MAX_QUEUE_ROWS": "8",
        "TABSERVE_MAX_IN_FLIGHT": "12",
    }
    with service(folder, environment=environment) as (client, process):
        yield Guarded(client, process.pid, {}, None, folder / "service.log")  # type: ignore[arg-type] # no keys


def rows_answered(client: httpx.Client) -> float:
    found = re.search(
        r'tabserve_inference_rows_total\{model="iris",version="1"\} ([0-9.]+)', client.get("/metrics").text
    )
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize("path", ["/predict/iris", "/predict/iris?"])
def test_queue_of_eight_refuses_exactly_the_two_that_are_too_many(path: str, patient: Guarded) -> None:
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(patient.url)) for _ in range(10)]
        for connection in connections:
            connection.send(request(path=path))
        answers = [connection.answer() for connection in connections]

    assert sorted(answer.status for answer in answers) == [200] * 8 + [429] * 2
    assert all("retry-after" in answer.headers for answer in answers if answer.status == 429)


@pytest.mark.parametrize("path", ["/predict/iris", "/predict/iris?"])
def test_requests_beyond_those_in_flight_are_refused_at_once(path: str, patient: Guarded) -> None:
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(connected(patient.url)) for _ in range(12)]
        for connection in waiting:
            connection.send(request(b" " * 100, path)[:-50])  # so much of its body is still to come
        probe = patient.client.get("/livez")
        began = time.perf_counter()
        with connected(patient.url) as connection:
            connection.send(request(path=path))
            answer = connection.answer()

    assert probe.status_code == 200
    assert answer.status == 503
    assert json.loads(answer.body)["type"] == "urn:tabserve:problem:too-many-in-flight"
    assert int(answer.headers["retry-after"]) >= 1
    assert time.perf_counter() - began < WAIT_S


def test_work_past_its_deadline_is_not_computed(patient: Guarded) -> None:
    before = rows_answered(patient.client)
    hasty = {**JSON, "x-request-timeout-ms": "50"}
    began = time.perf_counter()
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(patient.url)) for _ in range(6)]
        for connection in connections:
            connection.send(request(headers=hasty))
        answers = [connection.answer() for connection in connections]
    took_s = time.perf_counter() - began

    assert [answer.status for answer in answers] == [504] * 6
    assert json.loads(answers[0].body)["type"] == "urn:tabserve:problem:deadline-passed"
    assert took_s < WAIT_S
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


@pytest.mark.slow
def test_overload_is_refused_quickly_and_ends_without_a_trace(tmp_path: Path) -> None:
    store_in(tmp_path)
    with service(tmp_path, environment={"TABSERVE_MAX_IN_FLIGHT": "8"}) as (client, _):
        body = b'{"instances": [' + b"[1,2,3,4]," * 2000 + b"[1,2,3,4]]}"
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(connected(client.base_url)) for _ in range(64)]
            statuses: list[int] = []
            for _ in range(10):
                for connection in connections:
                    connection.send(request(body, "/predict/iris?"))
                for connection in connections:
                    answer = connection.answer()
                    statuses.append(answer.status)
                    assert answer.status == 200 or "retry-after" in answer.headers
        assert set(statuses) == {200, 503}
        with connected(client.base_url) as connection:
            connection.send(request(GOOD))
            assert connection.answer().status == 200
        assert "tabserve_http_requests_in_progress 1.0" in client.get("/metrics").text
