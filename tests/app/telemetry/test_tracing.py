"""Traces as a collector gets them: spans with stages, and the context in and out."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from app.telemetry.version_counters import STAGES
from modelstore import ModelRepository
from tests.app.broken import POISON, RaisesLater, publish_as_means
from tests.app.collector import ENDPOINT, Collector, collecting
from tests.app.runners import write_training
from tests.app.sockets import JSON, connected, request
from tests.app.tables import CSV, as_csv, rows
from tests.app.waiting import until
from tests.fakes import publish
from tests.processes import PROJECT, service

pytestmark = pytest.mark.slow  # the library of traces alone takes a second to import

PREDICT, ROUTE = "/predict/means", "POST /predict/{model}"
ROWS = {"instances": [[0.25, 0.25]]}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("traced")
    repository = ModelRepository(folder / "models")
    publish_as_means(repository, RaisesLater(2, 0.0))
    settings = Settings(
        models_dir=repository.root, state_dir=folder / "state", datasets_dir=folder / "datasets", device="cpu"
    )
    patch = pytest.MonkeyPatch()
    patch.setenv(ENDPOINT, collector.url)
    patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        patch.undo()  # it was read; other apps of these tests make no traces
        yield client


def told(headers: Any) -> tuple[str, str, str]:
    """Return trace, span and flags of an answer."""
    found = re.fullmatch("00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])", headers["traceparent"])
    assert found
    return found[1], found[2], found[3]


def test_prediction_is_a_span_and_its_stages_are_its_children(client: TestClient, collector: Collector) -> None:
    before_ns = time.time_ns()
    answer = client.post(PREDICT, json=ROWS)
    after_ns = time.time_ns()
    trace, identity, flags = told(answer.headers)

    span = collector.named(ROUTE, trace)
    assert (span.id, span.parent, flags) == (identity, "", "01")
    assert (span.is_server, span.is_error, span.service) == (True, False, "tabserve")
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/predict/{model}",
        "http.response.status_code": 200,
        "url.path": PREDICT,
        "url.scheme": "http",
        "tabserve.request_id": answer.headers["x-request-id"],
        "tabserve.model": "means",
        "tabserve.version": "1",
        "tabserve.outcome": "ok",
    }
    assert before_ns <= span.began_ns < span.ended_ns <= after_ns
    children = collector.inside(span)
    assert [child.name for child in children] == [*STAGES]
    assert all(child.trace == trace and not child.is_server for child in children)
    assert all(span.began_ns <= c.began_ns < c.ended_ns <= span.ended_ns for c in children)
    assert [c.began_ns for c in children[1:]] == [c.ended_ns for c in children[:-1]]


def test_stages_of_a_stream_are_sums_within_its_span(client: TestClient, collector: Collector) -> None:
    body = as_csv(rows(20_000), ("left", "right"))
    answer = client.post(PREDICT, content=iter([body]), headers={"content-type": CSV})

    span = collector.named(ROUTE, told(answer.headers)[0])
    children = collector.inside(span)
    assert [child.name for child in children] == [*STAGES]
    assert children[-1].ended_ns <= span.ended_ns


def test_inference_is_a_span_of_its_route(client: TestClient, collector: Collector) -> None:
    tensor = {"name": "features", "datatype": "FP32", "shape": [1, 2], "data": [0, 0]}
    answer = client.post("/v2/models/means/infer", json={"inputs": [tensor]})

    span = collector.named("POST /v2/models/{model}/infer", told(answer.headers)[0])
    assert span.attributes["tabserve.outcome"] == "ok"
    assert [child.name for child in collector.inside(span)] == [*STAGES]


def test_request_goes_on_with_the_trace_of_its_client(client: TestClient, collector: Collector) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"}
    answer = client.get("/models", headers=headers)
    trace, identity, flags = told(answer.headers)

    span = collector.named("GET /models", TRACE)
    assert (trace, flags, span.id, span.parent) == (TRACE, "01", identity, PARENT)
    assert span.state == headers["tracestate"]
    assert identity != PARENT


MALFORMED = {
    "empty": "",
    "words": "trace this",
    "upper case": f"00-{TRACE.upper()}-{PARENT}-01",
    "short": f"00-{TRACE[1:]}-{PARENT}-01",
    "no trace": f"00-{'0' * 32}-{PARENT}-01",
    "no span": f"00-{TRACE}-{'0' * 16}-01",
    "version ff": f"ff-{TRACE}-{PARENT}-01",
    "too much": f"00-{TRACE}-{PARENT}-01-more",
    "very long": f"01-{TRACE}-{PARENT}-01-{'x' * 2000}",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_context_is_ignored(client: TestClient, name: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = client.get("/models", headers={"traceparent": MALFORMED[name], "tracestate": "=,=,\x7f"})

    assert answer.status_code == 200
    trace, _, flags = told(answer.headers)
    assert (trace != TRACE, flags) == (True, "01")
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


def test_two_contexts_are_none(client: TestClient) -> None:
    twice = [("traceparent", f"00-{TRACE}-{PARENT}-01")] * 2

    assert told(client.get("/models", headers=twice).headers)[0] != TRACE


def test_client_that_does_not_want_a_trace_gets_none(client: TestClient, collector: Collector) -> None:
    unwanted = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = client.post(PREDICT, json=ROWS, headers={"traceparent": f"00-{unwanted}-{PARENT}-00"})
    later = client.post(PREDICT, json=ROWS)

    assert told(answer.headers)[::2] == (unwanted, "00")
    collector.named(ROUTE, told(later.headers)[0])
    assert [span for span in collector.spans if span.trace == unwanted] == []


def test_failures_are_told_and_those_of_the_service_are_errors(client: TestClient, collector: Collector) -> None:
    missing = client.post("/predict/nobody", json=ROWS)
    failed = client.post(PREDICT, json={"instances": [[2 * POISON, 0]]})
    unknown = client.get("/" + "x" * 300)

    assert (missing.status_code, failed.status_code, unknown.status_code) == (404, 500, 404)
    first, second = (collector.named(ROUTE, told(answer.headers)[0]) for answer in (missing, failed))
    assert (first.is_error, first.attributes["http.response.status_code"]) == (False, 404)
    assert (second.is_error, second.attributes["error.type"]) == (True, "500")
    assert second.attributes["tabserve.outcome"] == "error"
    third = collector.named("GET unmatched", told(unknown.headers)[0])
    assert len(third.attributes["url.path"]) == 256


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/v2/health/ready", "/metrics"])
def test_probes_and_scrapes_are_no_traces(client: TestClient, path: str) -> None:
    assert "traceparent" not in client.get(path).headers


def test_without_a_collector_there_is_no_context(steady: TestClient) -> None:
    headers = steady.get("/models", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"}).headers

    assert "traceparent" not in headers


def test_running_service_traces_what_comes_the_short_way_and_its_trainings(
    tmp_path: Path, collector: Collector
) -> None:
    publish(ModelRepository(tmp_path / "models"))
    cwd = tmp_path / "cwd"
    write_training(cwd, "time.sleep(0.1); end('succeeded', 'enough', version=publish(), activated=True)")
    with (
        service(tmp_path, environment={ENDPOINT: collector.url}, cwd=cwd) as (client, _),
        connected(client.base_url) as direct,
    ):
        traces = []
        for _ in range(3):
            direct.send(request(b'{"instances": [[0.25, 0.25]]}', PREDICT, JSON))
            answer = direct.answer()
            assert answer.status == 200
            traces.append(told(answer.headers)[0])
        job = client.post("/train", json={"model": "iris", "overrides": {"epochs": 1}})
        assert job.status_code in {200, 202}, job.text
        until(lambda: client.get(job.headers["location"]).json()["status"] == "succeeded", "it is trained")

    for trace in traces:  # the last were sent when the service stopped
        assert [child.name for child in collector.inside(collector.named(ROUTE, trace))] == [*STAGES]
    training = collector.named("training")
    assert training.attributes["tabserve.model"] == "iris"
    assert training.attributes["tabserve.reason"] == "succeeded"
    assert training.attributes["tabserve.request_id"] == job.headers["x-request-id"]
    assert training.ended_ns - training.began_ns > 10**8


def test_wrong_configuration_ends_the_start_with_3_and_one_line(tmp_path: Path) -> None:
    folders = [f"--{name}-dir={tmp_path / name}" for name in ("models", "state", "datasets")]
    done = subprocess.run(
        [sys.executable, "-m", "app", "--port", "0", "--device", "cpu", *folders],
        env={ENDPOINT: "collector"},
        cwd=PROJECT,
        capture_output=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 3
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"tabserve: {ENDPOINT} must be an address")
