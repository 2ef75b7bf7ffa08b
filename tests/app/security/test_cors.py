"""What a page of another origin can do from a browser, and what answers say to it (S-25)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.security.keys import KeyFile, Scope
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.problems import assert_problem
from tests.fakes import publish

EVIL = {"origin": "https://evil.test"}
GOOD = {"origin": "https://app.example.org"}
ASKS = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, content-type"}
ROWS = {"instances": [[0.5, 0.5]]}

SAMPLES = [
    *(("GET", path) for path in ("/livez", "/readyz", "/healthz", "/ping", "/health", "/metrics", "/none", "/", "//x")),
    *(("GET", f"/models{path}") for path in ("", "/means", "/none", "/means/versions/1", "/means/versions/x")),
    *(("GET", f"/v2{path}") for path in ("", "/models", "/none", "/health/ready", "/models/means")),
    *(("GET", path) for path in ("/docs", "/docs/swagger-ui.css", "/docs/none", "/openapi.json")),
    *(("GET", path) for path in ("/train", "/train/none", "/datasets", "/datasets/none")),
    *(("POST", path) for path in ("/predict/means", "/predict/none", "/predict", "/train", "/v2/models/means/infer")),
    *((method, "/predict/means") for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE")),
    *((method, "/livez") for method in ("POST", "HEAD")),
]


def headers_of_an_answer(client: TestClient, method: str, path: str) -> dict[str, str]:
    return dict(client.request(method, path).headers)


@pytest.mark.parametrize(("method", "path"), SAMPLES)
def test_every_answer_tells_browsers_to_keep_and_guess_nothing(method: str, path: str, steady: TestClient) -> None:
    headers = headers_of_an_answer(steady, method, path)

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "server" not in headers
    assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_form_cannot_send_json(kind: str, steady: TestClient) -> None:
    for path in ("/predict/means", "/predict", "/train"):
        answer = steady.post(path, content=b'{"instances": [[1, 2]]}', headers={"content-type": kind})
        assert answer.status_code == 415, path


def test_page_that_calls_itself_by_our_address_is_refused(steady: TestClient) -> None:
    refused = steady.get("/models", headers={"host": "evil.test"})

    assert refused.status_code == 421
    assert refused.json()["type"] == "urn:tabserve:problem:host-not-served"
    assert steady.get("/livez", headers={"host": "evil.test"}).status_code == 200


def test_without_configured_origins_no_page_may_ask(steady: TestClient) -> None:
    preflight = steady.options("/predict/means", headers={**EVIL, **ASKS})
    answer = steady.post("/predict/means", json=ROWS, headers=EVIL)

    assert answer.status_code == 403
    for each in (preflight, answer):
        assert not [name for name in each.headers if name.startswith("access-control-")]
    assert preflight.status_code == 405


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Return a client of a service that pages of one origin may use."""
    folder = tmp_path_factory.mktemp("shared")
    settings = Settings(
        models_dir=folder / "models", state_dir=folder / "state", datasets_dir=folder / "datasets", device="cpu",
        anonymous="predict", cors_origins="https://app.example.org,http://localhost:3000",
    )  # fmt: skip
    with TestClient(create_app(settings)) as client:
        yield client


def test_page_of_a_configured_origin_may_ask_without_a_key_what_it_may(shared: TestClient) -> None:
    preflight = shared.options("/metrics", headers={**GOOD, **ASKS})

    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "https://app.example.org"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in preflight.headers


def test_answers_and_errors_can_be_read_by_a_page_of_a_configured_origin_only(shared: TestClient) -> None:
    for path in ("/models", "/none", "/metrics"):
        answer = shared.get(path, headers=GOOD)
        assert answer.headers["access-control-allow-origin"] == "https://app.example.org"
        assert answer.headers["vary"] == "origin"
        for other in (EVIL, {"origin": "null"}, {"origin": "https://app.example.org.evil.test"}):
            refused = shared.get(path, headers=other)
            assert "access-control-allow-origin" not in refused.headers
    assert shared.options("/models", headers={**EVIL, **ASKS}).status_code == 405


# What a browser says of a page that is not ours; the client here calls the service `testserver`.
FOREIGN = (
    EVIL,
    {"origin": "null"},
    {"origin": "http://testserver:81"},
    {"origin": "http://testserver.evil.test"},
    {"origin": "testserver"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "origin": "http://other.testserver"},
    {"sec-fetch-site": "cross-site", "origin": "http://testserver"},
    {"sec-fetch-site": "", "origin": "http://testserver"},
)
OWN: tuple[dict[str, str], ...] = (
    {},
    {"origin": "http://testserver"},
    {"origin": "https://testserver"},  # of a proxy that ends TLS
    {"sec-fetch-site": "same-origin", "origin": "http://testserver"},
    {"sec-fetch-site": "same-origin", "origin": "https://behind.proxy.test"},  # that says another Host
    {"sec-fetch-site": "none"},
)
CHANGES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("POST", "/models/means/versions/2/activate", {}),
    ("DELETE", "/models/means/versions/2", {}),
    ("POST", "/train", {"json": {"model": "iris"}}),
    ("PUT", "/datasets/mine", {"content": b"a,b\n1,x\n2,y\n"}),
    ("POST", "/predict/means", {"json": ROWS}),
    ("POST", "/v2/models/means/infer", {"json": {}}),
    ("POST", "/v2/repository/index", {}),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelRepository:
    """Return a store with two versions of `means`, the first of them active."""
    repository = ModelRepository(tmp_path_factory.mktemp("changed") / "models")
    publish(repository)
    publish(repository, activate=False)
    return repository


@pytest.fixture(scope="module")
def keyless(store: ModelRepository) -> Iterator[TestClient]:
    """Return a client of a service without keys, which tests of this module change."""
    folder = store.root.parent
    settings = Settings(
        models_dir=store.root, state_dir=folder / "state", datasets_dir=folder / "datasets", device="cpu"
    )
    with TestClient(create_app(settings)) as client:
        yield client


def state_of(client: TestClient) -> list[Any]:
    return [client.get(path).json() for path in ("/models/means", "/models/means/versions", "/train", "/datasets")]


@pytest.mark.parametrize("foreign", FOREIGN, ids=repr)
def test_page_of_another_origin_changes_nothing_without_a_key(foreign: dict[str, str], keyless: TestClient) -> None:
    before = state_of(keyless)
    for method, path, content in CHANGES:
        headers = {"content-type": "text/csv", **foreign} if method == "PUT" else foreign
        refused = keyless.request(method, path, headers=headers, **content)
        assert refused.status_code == 403, path
        if not path.startswith("/v2"):
            assert "TABSERVE_CORS_ORIGINS" in assert_problem(refused, 403)["detail"]
            assert refused.json()["type"] == "urn:tabserve:problem:cross-origin"

    assert state_of(keyless) == before
    assert keyless.get("/models", headers=foreign).status_code == 200


@pytest.mark.parametrize("own", OWN, ids=repr)
def test_own_page_and_what_is_no_browser_may_change_things(
    own: dict[str, str], keyless: TestClient, store: ModelRepository
) -> None:
    path = f"/models/means/versions/{publish(store, activate=False)}"

    assert keyless.post("/predict/means", json=ROWS, headers=own).status_code == 200
    assert keyless.post(f"{path}/activate", headers=own).status_code == 200
    assert keyless.post("/models/means/versions/1/activate", headers=own).status_code == 200
    assert keyless.delete(path, headers=own).status_code == 204


def test_page_of_another_origin_is_on_record(settings: Settings) -> None:
    with TestClient(create_app(settings)) as client:
        for _ in range(3):
            assert client.delete("/models/means/versions/1", headers=EVIL).status_code == 403

    lines = [json.loads(line) for line in (settings.state_dir / "audit.jsonl").read_text().splitlines()]
    told = [line for line in lines if line["action"] == "auth.fail"]
    assert [(line["reason"], line["count"]) for line in told] == [("cross-origin", 3)]
    assert not [line for line in lines if line["action"] == "model.remove"]


def test_page_of_a_configured_origin_is_let_in_and_others_are_not(shared: TestClient) -> None:
    for more in ({}, {"sec-fetch-site": "cross-site"}):
        assert shared.post("/predict/none", json=ROWS, headers={**GOOD, **more}).status_code == 404
        assert shared.post("/predict/none", json=ROWS, headers={**EVIL, **more}).status_code == 403


def test_page_that_has_a_key_is_let_in(settings: Settings, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    bearer = {"authorization": f"Bearer {keys.create(frozenset(Scope), None, 'page')}"}
    keyed = settings.model_copy(update={"keys_file": keys.path, "anonymous": "predict"})
    with TestClient(create_app(keyed)) as client:
        assert client.post("/predict/none", json=ROWS, headers={**EVIL, **bearer}).status_code == 404
        assert client.post("/predict/none", json=ROWS, headers=EVIL).status_code == 403
        assert client.post("/train", json={}, headers=EVIL).status_code == 401


@pytest.mark.parametrize(
    "origins", ["*", "https://*", "app.example.org", "https://a.org/", "https://a.org, https://b.org"]
)
def test_origin_that_is_not_one_stops_the_start(origins: str) -> None:
    with pytest.raises(ValueError, match="cors_origins"):
        Settings(cors_origins=origins)
