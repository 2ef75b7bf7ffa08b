"""Outcomes and stage times of predictions in /metrics, for every way of asking."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from app.context import CONTEXT, Deadline, RequestContext
from app.errors import ClientGone, DeadlinePassed, InvalidInput
from app.inference.errors import RowQueueFull
from app.main import create_app
from app.registry.errors import ModelNotReady
from app.settings import Settings
from app.telemetry.stage_timer import outcome_of
from app.telemetry.version_counters import OUTCOMES, STAGES
from modelstore import ModelRepository
from tests.app.asgi import ask, ask_at_once
from tests.app.broken import POISON, RaisesLater, publish_as_means
from tests.app.tables import BODIES, CSV, FLOAT32, JSON, STREAMED, as_csv, as_json, rows
from tests.fakes import publish
from tests.settings import settings_in

TWO = ("left", "right")
LABELS = {"model": "means", "version": "1"}
PREDICT, INFER = "/predict/means", "/v2/models/means/infer"


Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Watched:
    """A client, and what the service counted of `means` since `before`."""

    def __init__(self, client: TestClient, before: Figures) -> None:
        self.client = client
        self._before = before

    def outcomes(self) -> dict[str, float]:
        """Return how many requests ended in which way, but for those that none did."""
        found, name = self.figures(), "tabserve_inference_requests_total"
        ends = {end: found.get((name, frozenset({**LABELS, "outcome": end}.items())), 0.0) for end in OUTCOMES}
        return {end: requests for end, requests in ends.items() if requests}

    def stages(self) -> dict[str, tuple[float, float]]:
        """Return requests and seconds by stage."""
        found, name = self.figures(), "tabserve_inference_stage_duration_seconds"
        keys = {stage: frozenset({"model": "means", "stage": stage}.items()) for stage in STAGES}
        return {stage: (found[f"{name}_count", key], found[f"{name}_sum", key]) for stage, key in keys.items()}

    def predicted(self) -> list[float]:
        """Return the rows by class."""
        found, name = self.figures(), "tabserve_predictions_total"
        return [found[name, frozenset({**LABELS, "class": kind}.items())] for kind in ("low", "high")]

    def figures(self) -> Figures:
        """Return all samples."""
        families = text_string_to_metric_families(self.client.get("/metrics").text)
        found = {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}
        return {key: value - self._before.get(key, 0.0) for key, value in found.items()}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("stages")
    repository = ModelRepository(folder / "models")
    publish_as_means(repository, RaisesLater(2, 0.0))
    with TestClient(create_app(settings_in(folder)), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def serving(client: TestClient) -> Watched:
    return Watched(client, Watched(client, {}).figures())


def infer_body(x: np.ndarray) -> bytes:
    tensor = {"name": "features", "datatype": "FP32", "shape": list(x.shape), "data": x.ravel().tolist()}
    return json.dumps({"inputs": [tensor]}).encode()


def whole(kind: str, x: np.ndarray) -> bytes:
    return BODIES[kind](x, TWO)


def in_parts(kind: str, x: np.ndarray) -> Iterator[bytes]:
    body = whole(kind, x)
    yield from (body[start : start + 4096] for start in range(0, len(body), 4096))


Ask = Callable[[TestClient, np.ndarray], int]


def asking(path: str, kind: str, body: Callable[[np.ndarray], bytes | Iterator[bytes]]) -> Ask:
    return lambda client, x: client.post(path, content=body(x), headers={"content-type": kind}).status_code


WAYS: dict[str, Ask] = {
    "infer": asking(INFER, JSON, infer_body),
    "columns": asking(f"{PREDICT}?layout=columns", JSON, lambda x: as_json(x, TWO)),
    "skipping": asking(f"{PREDICT}?on_error=skip", CSV, lambda x: as_csv(x, TWO)),
    **{f"whole {kind}": asking(PREDICT, kind, partial(whole, kind)) for kind in BODIES},
    **{f"streamed {kind}": asking(PREDICT, kind, partial(in_parts, kind)) for kind in STREAMED},
}


@pytest.mark.parametrize("count", [1, 5000])
@pytest.mark.parametrize("way", WAYS)
def test_request_is_one_success_with_its_time_in_every_stage_and_its_rows_by_class(
    serving: Watched, way: str, count: int
) -> None:
    x = rows(count)
    began = time.perf_counter()
    assert WAYS[way](serving.client, x) == 200
    took_s = time.perf_counter() - began

    spent = serving.stages()
    assert {stage: requests for stage, (requests, _) in spent.items()} == dict.fromkeys(STAGES, 1)
    assert all(seconds > 0 for _, seconds in spent.values())
    assert sum(seconds for _, seconds in spent.values()) < took_s
    assert serving.outcomes() == {"ok": 1}
    high = int((x.mean(axis=1, dtype=np.float32) > 0.5).sum())  # equal ones are low, the lower index
    assert serving.predicted() == [count - high, high]


BAD = {
    "no JSON": (PREDICT, JSON, b"{", 400),
    "a value too many": (PREDICT, JSON, b'{"instances": [[1, 2, 3]]}', 422),
    "a bad line": (PREDICT, CSV, b"left,right\n1,x\n", 422),
    "half a row": (PREDICT, FLOAT32, b"123", 400),
    "no tensor": (INFER, JSON, b'{"inputs": []}', 400),
}


@pytest.mark.parametrize("name", BAD)
def test_request_that_is_wrong_is_the_clients_error(serving: Watched, name: str) -> None:
    path, kind, body, status = BAD[name]

    assert serving.client.post(path, content=body, headers={"content-type": kind}).status_code in {status, 422}

    assert serving.outcomes() == {"client_error": 1}
    assert {requests for requests, _ in serving.stages().values()} == {0}


def test_bad_row_far_in_a_stream_is_the_clients_error(serving: Watched) -> None:
    body = [whole(CSV, rows(20_000)), b"1,x\n"]
    serving.client.post(PREDICT, content=iter(body), headers={"content-type": CSV})

    assert serving.outcomes() == {"client_error": 1}


@pytest.mark.parametrize("path", [PREDICT, INFER])
def test_model_that_raises_is_an_error(serving: Watched, path: str) -> None:
    x = np.array([[2 * POISON, 0]], np.float32)
    body = infer_body(x) if path == INFER else as_json(x, TWO)

    assert serving.client.post(path, content=body, headers={"content-type": JSON}).status_code == 500

    assert serving.outcomes() == {"error": 1}


def test_request_for_what_is_not_there_counts_for_no_version(serving: Watched) -> None:
    for path in ("/predict/nobody", "/predict/means/versions/9", "/v2/models/nobody/infer"):
        assert serving.client.post(path, json={"instances": [[0, 0]]}).status_code == 404

    assert serving.outcomes() == {}


def test_request_that_is_late_or_too_much_ends_so(settings: Settings, repository: ModelRepository) -> None:
    publish(repository)
    patient = settings.model_copy(update={"max_batch_wait_s": 0.2, "max_queue_rows": 10})
    with TestClient(create_app(patient), raise_server_exceptions=False) as client:
        assert client.portal is not None
        late = client.post(PREDICT, json={"instances": [[0, 0]]}, headers={"x-request-timeout-ms": "20"})
        bodies = [as_json(rows(6), TWO)] * 2
        answers = client.portal.call(ask_at_once, client.app, PREDICT, bodies)

        assert late.status_code == 504
        assert sorted(answer.status for answer in answers) == [200, 429]
        assert Watched(client, {}).outcomes() == {"timeout": 1, "rejected": 1, "ok": 1}
        assert Watched(client, {}).stages()["queue"][1] > 0.15


def test_client_that_went_away_is_a_cancellation(settings: Settings, repository: ModelRepository) -> None:
    publish(repository)
    with TestClient(create_app(settings)) as client:
        assert client.portal is not None
        csv = ((b"content-type", CSV.encode()),)
        pieces = [as_csv(rows(20_000), TWO), b""]

        async def gone() -> None:
            """Send most of a body whose rest never comes, and go away."""
            task = asyncio.ensure_future(
                ask(client.app, PREDICT, pieces[:1], (*csv, (b"transfer-encoding", b"chunked")))
            )
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        client.portal.call(gone)

        assert Watched(client, {}).outcomes() == {"cancelled": 1}


def test_how_an_error_counts() -> None:
    broken = RuntimeError("broken off")
    broken.__cause__ = InvalidInput("a bad row")

    assert outcome_of(RowQueueFull(1)) == "rejected"
    assert outcome_of(DeadlinePassed()) == "timeout"
    assert outcome_of(ClientGone()) == "cancelled"
    assert outcome_of(asyncio.CancelledError()) == "cancelled"
    assert outcome_of(GeneratorExit()) == "cancelled"
    assert outcome_of(ModelNotReady("means", "it is being loaded")) == "error"
    assert outcome_of(RuntimeError("?")) == "error"
    assert outcome_of(broken) == "client_error"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deadline", "expected"),
    [(Deadline(at_ns=1), "timeout"), (Deadline(gone=lambda: True), "cancelled")],
    ids=["deadline", "gone"],
)
def test_whatever_broke_when_nobody_wanted_it_any_more_is_no_error(deadline: Deadline, expected: str) -> None:
    token = CONTEXT.set(RequestContext(deadline=deadline))
    try:
        assert outcome_of(asyncio.CancelledError()) == expected
        assert outcome_of(OSError("the connection was closed")) == expected
    finally:
        CONTEXT.reset(token)
