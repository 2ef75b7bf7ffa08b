"""Health and figures through the real app."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.broken import POISON, Logits, RaisesLater, damage, publish_as_means
from tests.app.telemetry.figures import scraped
from tests.app.waiting import until
from tests.fakes import publish


def count(client: TestClient, name: str, **labels: str) -> float:
    return scraped(client).get((name, frozenset(labels.items())), 0.0)


def label_values(client: TestClient, label: str) -> set[str]:
    return {value for _, labels in scraped(client) for name, value in labels if name == label}


def test_live_as_soon_as_the_event_loop_answers(settings: Settings) -> None:
    with TestClient(create_app(settings)) as client:
        for path in ("/livez", "/healthz", "/ping"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()) == (200, {"live": True}), path


def test_ready_when_every_model_serves(steady: TestClient) -> None:
    answer = steady.get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"ready": True, "reasons": {}})


def test_not_ready_with_an_empty_store_and_ready_after_the_first_version(
    settings: Settings, repository: ModelRepository
) -> None:
    with TestClient(create_app(settings)) as client:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["ready"] is False
        assert "train one" in answer.json()["reasons"]["*"]
        assert client.get("/health").json() == {"status": "unavailable", "device": "cpu", "models": {}}

        publish(repository)

        until(lambda: client.get("/readyz").status_code == 200, "the first version serves")


@pytest.mark.parametrize(("strict", "code", "status"), [(False, 200, "degraded"), (True, 503, "unavailable")])
def test_ready_with_some_models_unless_strict_and_names_the_one_that_cannot_serve(
    settings: Settings, repository: ModelRepository, *, strict: bool, code: int, status: str
) -> None:
    publish(repository)
    publish(repository, "thirds")
    damage(repository, 1)

    with TestClient(create_app(settings.model_copy(update={"strict_readiness": strict}))) as client:
        ready, health, oip = client.get("/readyz"), client.get("/health"), client.get("/v2/health/ready")

    assert (ready.status_code, ready.json()["ready"], oip.status_code) == (code, not strict, 503)
    assert list(ready.json()["reasons"]) == ["means"]
    assert health.status_code == 200
    assert health.json()["status"] == status
    assert health.json()["models"]["thirds"] == "ready, version 1"


def test_not_ready_when_no_model_can_serve(settings: Settings, repository: ModelRepository) -> None:
    publish(repository)
    damage(repository, 1)

    with TestClient(create_app(settings)) as client:
        assert client.get("/readyz").status_code == 503
        assert client.get("/health").json()["status"] == "unavailable"


def test_stays_ready_but_degraded_when_a_new_version_is_broken(client: TestClient, repository: ModelRepository) -> None:
    assert client.get("/health").json()["status"] == "ok"
    publish_as_means(repository, Logits(2, 0.0))

    until(lambda: client.get("/health").json()["status"] == "degraded", "the broken version is noticed")

    assert client.get("/readyz").status_code == 200
    assert client.get("/health").json()["models"]["means"].startswith("contract_sum: ")


def test_figures_are_in_the_format_that_prometheus_reads(client: TestClient) -> None:
    answer = client.get("/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"tabserve_http_requests", "tabserve_inference_rows", "tabserve_model_accuracy"} <= names
    assert all(name.startswith(("tabserve_", "process_")) for name in names)


def test_counters_move_by_exactly_what_was_asked(client: TestClient, repository: ModelRepository) -> None:
    publish(repository, activate=False)
    path = "/predict/{model}"
    good = {"route": path, "method": "POST", "code": "200"}
    bad = {"route": path, "method": "POST", "code": "422"}

    for rows in (1, 2, 40):
        client.post("/predict/means", json={"instances": [[0, 0]] * rows})
    client.post("/predict/means", json={"instances": [[0]]})
    client.post("/predict/means/versions/2", json={"instances": [[0, 0]] * 5})
    client.get("/livez")

    requests, rows_total = "tabserve_http_requests_total", "tabserve_inference_rows_total"
    assert count(client, requests, **good) == 3
    assert count(client, requests, **bad) == 1
    by_number = "/predict/{model}/versions/{version}"
    assert count(client, requests, route=by_number, method="POST", code="200") == 1
    assert count(client, requests, route="/livez", method="GET", code="200") == 1
    assert count(client, rows_total, model="means", version="1") == 43
    assert count(client, rows_total, model="means", version="2") == 5
    assert count(client, "tabserve_http_request_duration_seconds_count", route=path, method="POST") == 4
    assert count(client, "tabserve_http_requests_in_progress") == 1  # the scrape itself


def test_failures_are_counted_by_their_status(settings: Settings, repository: ModelRepository) -> None:
    publish_as_means(repository, RaisesLater(2, 0.0))
    app = create_app(settings)
    with TestClient(app, raise_server_exceptions=False) as client:
        client.post("/predict/means", json={"instances": [[2 * POISON, 0]]})
        client.post("/predict/nobody", json={"instances": [[0, 0]]})

        for code in ("500", "404"):
            labels = {"route": "/predict/{model}", "method": "POST", "code": code}
            assert count(client, "tabserve_http_requests_total", **labels) == 1
        assert count(client, "tabserve_http_requests_in_progress") == 1


def strangers() -> Iterator[tuple[str, str]]:
    for number in range(10):
        yield "GET", f"/stranger-{number}/x"
        yield "POST", f"/predict/stranger-{number}"
        yield "POST", f"/predict/means/versions/{1000 + number}"
        yield "GET", f"/models/stranger-{number}/versions/{number}"
        yield f"STRANGER{number}", "/models"
        yield "GET", f"/docs/stranger-{number}"
        yield "GET", f"/train/stranger-{number}"
        yield "PUT", f"/train/stranger-{number}"


@pytest.mark.slow
def test_strangers_cannot_make_new_label_values(client: TestClient) -> None:
    client.get("/metrics")
    templates = {str(path) for path in client.get("/openapi.json").json()["paths"]}

    for method, path in strangers():
        client.request(method, path, json={"instances": [[0, 0]], "model": path[9:] or "x"})

    assert label_values(client, "method") <= {"GET", "POST", "PUT", "other"}
    assert label_values(client, "route") <= templates | {"unmatched", "/openapi.json", "/docs/{asset}"}
    assert label_values(client, "model") == {"means", "thirds"}
    assert label_values(client, "version") == {"1"}
    assert "stranger" not in client.get("/metrics").text.lower()


def test_active_versions_and_their_evaluation_are_figures(client: TestClient, repository: ModelRepository) -> None:
    publish(repository, shift=0.5, activate=False)
    labels = {"model": "means", "version": "1", "split": "test"}
    expected = {"accuracy": 1, "macro_f1": 1, "log_loss": 0.25, "brier": 0.125, "calibration_error": 0.0625}

    assert {name: count(client, f"tabserve_model_{name}", **labels) for name in expected} == expected
    digest = repository.find("means", 1).manifest().sha256
    info = {"model": "means", "version": "1", "digest": digest, "engine": "pytorch_torchscript", "device": "cpu"}
    assert count(client, "tabserve_model_info", **info) == 1

    client.post("/models/means/versions/2/activate")

    assert count(client, "tabserve_model_accuracy", **labels) == 0
    assert count(client, "tabserve_model_accuracy", **{**labels, "version": "2"}) == 1


@pytest.mark.parametrize("accept", ["application/json;q=0.1, text/plain", "application/json;q=0.1, */*;q=0.2", "*/*"])
def test_figures_are_shown_as_text_to_who_likes_json_less(steady: TestClient, accept: str) -> None:
    assert steady.get("/metrics", headers={"accept": accept}).headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("accept", ["application/json", "application/json, text/plain;q=0.5"])
def test_json_form_is_the_evaluation_in_full(steady: TestClient, accept: str) -> None:
    answer = steady.get("/metrics", headers={"accept": accept})

    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["means", "thirds"]
    test = answer.json()["means"]["metrics"]["test"]
    assert (answer.json()["means"]["version"], test["rows"], test["confusion"]) == (1, 10, [[5, 0], [0, 5]])
    assert test["per_class"]["high"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 5}


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/ping", "/readyz", "/health"])
def test_probe_by_head_is_answered_as_by_get_without_the_body(steady: TestClient, path: str) -> None:
    by_get, by_head = steady.get(path), steady.head(path)

    assert by_head.status_code == by_get.status_code == 200
    assert by_head.content == b""
    for name in ("content-type", "content-length"):
        assert by_head.headers[name] == by_get.headers[name]


def test_readiness_by_head_is_503_while_nothing_can_be_served(settings: Settings) -> None:
    with TestClient(create_app(settings)) as empty:
        assert empty.head("/readyz").status_code == 503
