"""What a page of another origin can and cannot do from a browser, and what every answer says to one (S-25)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings

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
    assert path == "/docs" or "default-src 'none'" in headers["content-security-policy"]
    assert "server" not in headers
    assert not [name for name in headers if name.startswith("access-control-")]


def test_page_of_the_documentation_runs_its_own_script_and_nothing_else(steady: TestClient) -> None:
    page = steady.get("/docs")
    policy = page.headers["content-security-policy"]

    assert re.search(r"script-src 'self' 'sha256-[A-Za-z0-9+/]{43}='", policy)
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page.text)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_form_of_another_page_cannot_send_json(kind: str, steady: TestClient) -> None:
    for path in ("/predict/means", "/predict", "/train"):
        answer = steady.post(path, content=b'{"instances": [[1, 2]]}', headers={"content-type": kind, **EVIL})
        assert answer.status_code == 415, path


def test_page_that_calls_itself_by_our_address_is_refused(steady: TestClient) -> None:
    refused = steady.get("/models", headers={"host": "evil.test"})

    assert refused.status_code == 421
    assert refused.json()["type"] == "urn:tabserve:problem:host-not-served"
    assert steady.get("/livez", headers={"host": "evil.test"}).status_code == 200


def test_without_configured_origins_no_page_may_ask(steady: TestClient) -> None:
    preflight = steady.options("/predict/means", headers={**EVIL, **ASKS})
    answer = steady.post("/predict/means", json=ROWS, headers=EVIL)

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


@pytest.mark.parametrize(
    "origins", ["*", "https://*", "app.example.org", "https://a.org/", "https://a.org, https://b.org"]
)
def test_origin_that_is_not_one_stops_the_start(origins: str) -> None:
    with pytest.raises(ValueError, match="cors_origins"):
        Settings(cors_origins=origins)
