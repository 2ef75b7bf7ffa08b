"""Methods that a route does not accept (S-26); browser headers of all responses (S-25)."""

from __future__ import annotations

import pytest

from app.security.keys import Scope
from tests.app.sockets import Answer, connected, request
from tests.attacks.conftest import Guarded
from tests.attacks.messages import CAP, answer_to, head
from tests.attacks.test_scopes import ROUTES, concrete
from tests.promises import Measured

pytestmark = pytest.mark.slow

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "MKCOL", "PURGE", "LOCK")
PROBES = ("/livez", "/readyz", "/healthz", "/ping", "/health", "/v2/health/live", "/v2/health/ready")


def ask(guarded: Guarded, method: str, path: str, scope: Scope | None) -> Answer:
    headers = guarded.bearer(scope) if scope else guarded.bearer(Scope.PREDICT)
    with connected(guarded.url) as connection:
        connection.send(request(b"", path, headers, method=method))
        return Answer(*connection.head(), b"") if method == "HEAD" else connection.answer()


def test_every_other_method_is_refused_and_the_right_ones_are_named(guarded: Guarded, measured: Measured) -> None:
    taken: dict[str, set[str]] = {}
    for route in ROUTES:
        method, path = route.split(" ")
        taken.setdefault(path, set()).add(method)
    for path in PROBES:
        taken[path].add("HEAD")
    refused = 0
    for path, methods in taken.items():
        for method in METHODS:
            if method in methods:
                continue
            answer = ask(guarded, method, concrete(path), Scope.PREDICT)
            assert answer.status == 405, (method, path)
            assert set(answer.headers["allow"].split(", ")) == methods, path
            refused += 1
    for line in (
        "CONNECT localhost:80 HTTP/1.1",
        "CONNECT /livez HTTP/1.1",
        "GETX /livez HTTP/1.1",
        "get /livez HTTP/1.1",
    ):
        message = f"{line}\r\nhost: localhost\r\n\r\n".encode()
        assert answer_to(guarded.url, message).status in (400, 401, 405), line
    measured("S-26", f"{refused} methods that {len(taken)} routes do not take: all 405 with Allow")


SAMPLES = (
    *(f"GET {path}" for path in (*PROBES, "/", "/none", "//x", "/docs", "/docs/swagger-ui.css", "/docs/none")),
    *(
        f"GET /models{path}"
        for path in ("", "/iris", "/none", "/iris/versions", "/iris/versions/1", "/iris/versions/9")
    ),
    *(
        f"GET /v2{path}"
        for path in ("", "/models", "/none", "/models/iris", "/models/iris/ready", "/models/none/ready")
    ),
    *(f"POST {path}" for path in ("/predict", "/predict/iris", "/predict/none", "/v2/models/iris/infer", "/livez")),
    *(f"{method} /predict/iris" for method in ("PUT", "OPTIONS", "TRACE", "DELETE", "PATCH")),
    *("GET /train", "GET /metrics", "GET /openapi.json", "POST /train", "GET /datasets", "DELETE /datasets/none"),
)


def test_every_answer_of_the_socket_says_what_browsers_need(guarded: Guarded, measured: Measured) -> None:
    """S-25: with and without a key, and what never becomes a request."""
    answers = {}
    for sample in SAMPLES:
        method, path = sample.split(" ")
        for headers in ({}, guarded.bearer(Scope.PREDICT)):
            answers[sample, str(bool(headers))] = answer_to(guarded.url, request(b"", path, headers, method=method))
    answers["garbage", ""] = answer_to(guarded.url, b"GARBAGE\r\n\r\n")
    answers["large head", ""] = answer_to(guarded.url, request(b"", "/livez", {"x": "y" * (40 << 10)}, method="GET"))
    answers["large body", ""] = answer_to(guarded.url, head(guarded, f"content-length: {CAP + 1}"))
    answers["no host", ""] = answer_to(guarded.url, b"GET /models HTTP/1.1\r\n\r\n")

    for asked, answer in answers.items():
        assert answer.headers["x-content-type-options"] == "nosniff", asked
        assert answer.headers["cache-control"] == "no-store", asked
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"], asked
        assert answer.headers["x-request-id"], asked
        assert "server" not in answer.headers, asked
        assert not [name for name in answer.headers if name.startswith("access-control-")], asked
    statuses = sorted({answer.status for answer in answers.values()})
    measured(
        "S-25",
        f"{len(answers)} answers of status {', '.join(map(str, statuses))}: all with the headers, none with Server",
    )
    assert len(answers) >= 40
    assert {200, 400, 401, 403, 404, 405, 413, 415, 431} <= set(statuses)
