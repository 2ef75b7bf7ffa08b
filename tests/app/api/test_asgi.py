"""The outermost layer: the exact limit of a body, request ids, and what is counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from app.main import create_app
from modelstore import ModelRepository
from tests.app.asgi import JSON, Exchange, ask
from tests.fakes import publish
from tests.settings import settings_in

LIMIT = 1024
GOOD = b'{"instances": [[0.5, 0.5]]}'


def limited(folder: Path) -> ASGIApp:
    publish(ModelRepository(folder / "models"))
    return create_app(settings_in(folder, max_body_bytes=LIMIT))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with TestClient(limited(tmp_path_factory.mktemp("limited")), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[TestClient]:
    """Return a client of a service that was not asked anything yet."""
    with TestClient(limited(tmp_path), raise_server_exceptions=False) as client:
        yield client


def send(client: TestClient, *pieces: bytes, path: str = "/predict/means", declared: int | None = None) -> Exchange:
    """Send a body in pieces, with a Content-Length if one is given."""
    assert client.portal is not None
    length = () if declared is None else ((b"content-length", b"%d" % declared),)
    return client.portal.call(ask, client.app, path, pieces, (*JSON, *length))


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "streamed"])
def test_body_of_exactly_the_limit_is_answered(client: TestClient, declared: bool) -> None:
    body = GOOD.ljust(LIMIT)

    exchange = send(client, body[:1000], body[1000:], declared=LIMIT if declared else None)

    assert (exchange.status, exchange.pieces_read) == (200, 2)


def test_body_that_declares_one_byte_more_is_refused_before_any_is_read(client: TestClient) -> None:
    exchange = send(client, GOOD.ljust(LIMIT + 1), declared=LIMIT + 1)

    assert (exchange.status, exchange.pieces_read) == (413, 0)


@pytest.mark.parametrize("digits", [17, 18, 19, 30, 5000])
def test_body_that_declares_absurdly_much_is_refused_before_any_is_read(client: TestClient, digits: int) -> None:
    headers = (*JSON, (b"content-length", b"9" * digits))
    assert client.portal is not None

    exchange = client.portal.call(ask, client.app, "/predict/means", (GOOD,), headers)

    assert (exchange.status, exchange.pieces_read) == (413, 0)


def test_streamed_body_is_refused_with_the_first_byte_too_many_and_not_read_on(client: TestClient) -> None:
    pieces = [b" " * 256] * 4 + [b" "] + [b" " * 256] * 100

    exchange = send(client, *pieces)

    assert (exchange.status, exchange.pieces_read) == (413, 5)


def test_body_that_is_longer_than_it_declared_is_refused_all_the_same(client: TestClient) -> None:
    assert send(client, GOOD.ljust(LIMIT + 1), declared=10).status == 413


@pytest.mark.parametrize("pieces", [1, 2, 27])
def test_body_may_come_in_any_pieces(client: TestClient, pieces: int) -> None:
    step = -(-len(GOOD) // pieces)

    exchange = send(client, *(GOOD[start : start + step] for start in range(0, len(GOOD), step)))

    assert exchange.body == send(client, GOOD).body
    assert exchange.status == 200


def test_client_that_goes_away_while_sending_is_no_failure_of_the_service(
    fresh: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    send(fresh)

    assert not [record for record in caplog.records if record.exc_info]
    assert counted(fresh, "/predict/{model}") == {"499": 1}


def counted(client: TestClient, route: str) -> dict[str, float]:
    """Return the number of requests of a route by status."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [s for family in families for s in family.samples if s.name == "tabserve_http_requests_total"]
    return {s.labels["code"]: s.value for s in samples if s.labels["route"] == route}


def test_every_answer_is_counted_once_by_its_status(fresh: TestClient) -> None:
    send(fresh, GOOD)
    send(fresh, GOOD)
    send(fresh, b"{}")
    send(fresh, b"")
    send(fresh, GOOD.ljust(LIMIT + 1), declared=LIMIT + 1)
    send(fresh, GOOD.ljust(LIMIT + 1))
    send(fresh, GOOD, path="/predict/nobody")
    send(fresh, GOOD, path="/elsewhere")

    assert counted(fresh, "/predict/{model}") == {"200": 2, "422": 1, "400": 1, "413": 2, "404": 1}
    assert counted(fresh, "unmatched") == {"404": 1}


def test_refused_request_is_counted_by_name_only_on_routes_that_are_answered_without_fastapi(fresh: TestClient) -> None:
    late = {"x-request-timeout-ms": "soon"}
    fresh.post("/predict/means", content=GOOD, headers={"content-type": "application/json", **late})
    fresh.post("/v2/models/means/versions/x/infer", json={}, headers=late)
    fresh.get("/models/means", headers=late)
    fresh.get("/models/means")

    assert counted(fresh, "/predict/{model}") == {"400": 1}
    assert counted(fresh, "/v2/models/{model}/versions/{version}/infer") == {"400": 1}
    assert counted(fresh, "/models/{model}") == {"200": 1}
    assert counted(fresh, "unmatched") == {"400": 1}


def test_every_answer_has_an_id_of_its_own(client: TestClient) -> None:
    ids = {client.get(path).headers["x-request-id"] for path in ("/livez", "/livez", "/nowhere", "/docs", "/metrics")}

    assert len(ids) == 5


def test_last_of_several_request_ids_does_not_smuggle_another_header(client: TestClient) -> None:
    answer = client.get("/livez", headers=[("x-request-id", "one"), ("x-request-id", "two\r\nx-evil: 1")])

    assert "x-evil" not in answer.headers
    assert len(answer.headers.get_list("x-request-id")) == 1


@pytest.mark.slow
def test_no_browser_may_guess_the_type_of_an_answer(client: TestClient) -> None:
    for path in ("/livez", "/nowhere", "/docs", "/openapi.json", "/metrics"):
        assert client.get(path).headers["x-content-type-options"] == "nosniff"
