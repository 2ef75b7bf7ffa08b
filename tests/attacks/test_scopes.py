"""Every route with every kind of key, against an explicit table (S-05).

A route that the table lacks fails.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from app.security.keys import Scope
from app.security.permissions import AccessTable
from tests.attacks.conftest import Guarded
from tests.processes import service
from tests.promises import Measured

# Method and path, and the one scope that permits it.
PUBLIC = None
ROUTES: dict[str, Scope | None] = {
    "GET /livez": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /healthz": PUBLIC,
    "GET /ping": PUBLIC,
    "GET /v2/health/live": PUBLIC,
    "GET /v2/health/ready": PUBLIC,
    "GET /": PUBLIC,
    "GET /console/{file}": PUBLIC,
    "GET /health": Scope.PREDICT,
    "GET /docs": PUBLIC,
    "GET /docs/{asset}": PUBLIC,
    "GET /openapi.json": Scope.PREDICT,
    "POST /predict": Scope.PREDICT,
    "POST /predict/{model}": Scope.PREDICT,
    "POST /predict/{model}/versions/{version}": Scope.PREDICT,
    "GET /models": Scope.PREDICT,
    "GET /models/{model}": Scope.PREDICT,
    "DELETE /models/{model}": Scope.ADMIN,
    "GET /models/{model}/compare": Scope.PREDICT,
    "GET /models/{model}/drift": Scope.METRICS,
    "GET /models/{model}/versions": Scope.PREDICT,
    "GET /models/{model}/versions/{version}": Scope.PREDICT,
    "DELETE /models/{model}/versions/{version}": Scope.ADMIN,
    "POST /models/{model}/versions/{version}/activate": Scope.ADMIN,
    "POST /models/{model}/versions/{version}/shadow": Scope.ADMIN,
    "DELETE /models/{model}/versions/{version}/shadow": Scope.ADMIN,
    "POST /models/{model}/versions/{version}/promote": Scope.ADMIN,
    "GET /models/{model}/versions/{version}/live": Scope.PREDICT,
    "POST /feedback": Scope.PREDICT,
    "PUT /models/{model}/card": Scope.ADMIN,
    "GET /models/{model}/versions/{version}/card": Scope.PREDICT,
    "GET /models/{model}/versions/{version}/plots": Scope.PREDICT,
    "GET /models/{model}/versions/{version}/plots/{plot}.png": Scope.PREDICT,
    "GET /models/{model}/versions/{version}/plots/{plot}.json": Scope.PREDICT,
    "GET /models/{model}/versions/{version}/model.pt": Scope.ADMIN,
    "GET /metrics": Scope.METRICS,
    "GET /operations": Scope.ADMIN,
    "GET /train": Scope.TRAIN,
    "POST /train": Scope.TRAIN,
    "GET /train/{job_id}": Scope.TRAIN,
    "DELETE /train/{job_id}": Scope.TRAIN,
    "GET /train/{job_id}/events": Scope.TRAIN,
    "POST /train/{job_id}/retry": Scope.TRAIN,
    "GET /datasets": Scope.TRAIN,
    "GET /datasets/{name}": Scope.TRAIN,
    "PUT /datasets/{name}": Scope.TRAIN,
    "DELETE /datasets/{name}": Scope.TRAIN,
    "GET /v2": Scope.PREDICT,
    "GET /v2/": Scope.PREDICT,
    "GET /v2/models": Scope.PREDICT,
    "GET /v2/models/{model}": Scope.PREDICT,
    "GET /v2/models/{model}/ready": Scope.PREDICT,
    "GET /v2/models/{model}/versions/{version}": Scope.PREDICT,
    "GET /v2/models/{model}/versions/{version}/ready": Scope.PREDICT,
    "POST /v2/models/{model}/infer": Scope.PREDICT,
    "POST /v2/models/{model}/versions/{version}/infer": Scope.PREDICT,
    "POST /v2/repository/index": Scope.PREDICT,
    "GET /v2/models/stats": Scope.METRICS,
    "GET /v2/models/{model}/stats": Scope.METRICS,
    "GET /v2/models/{model}/versions/{version}/stats": Scope.METRICS,
}
VALUES = {
    "{model}": "iris",
    "{version}": "7",
    "{job_id}": "0" * 32,
    "{name}": "none",
    "{plot}": "loss",
    "{asset}": "swagger-ui.css",
    "{file}": "console.css",
}
STRANGERS = {
    "nobody": {},
    "malformed": {"authorization": "Bearer"},
    "another scheme": {"authorization": "Basic dGFic2VydmU6dGFic2VydmU="},
    "unknown": {"authorization": f"Bearer tabserve_{'0' * 12}_{'A' * 43}"},
}

VERBS = ("HEAD", "OPTIONS", "TRACE", "PATCH")


def concrete(path: str) -> str:
    for parameter, value in VALUES.items():
        path = path.replace(parameter, value)
    return path


def ask(guarded: Guarded, route: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    method, path = route.split(" ")
    address = "/models/none" if route == "DELETE /models/{model}" else concrete(path)  # others need the shared model
    answer = guarded.client.request(method, address, headers=headers)
    assert "no such route" not in answer.text, "it is in the table, but not served"
    return answer.status_code, dict(answer.headers)


def test_table_of_the_service_says_the_same() -> None:
    """The service does not start with a route that its own table lacks; so this one, written apart, is whole."""
    declared = {
        f"{method} {path}": route.scope
        for path, by_method in AccessTable().routes.items()
        for method, route in by_method.items()
        if method != "HEAD"
    }

    assert declared == ROUTES


@pytest.mark.slow
@pytest.mark.parametrize("route", ROUTES)
def test_route_opens_for_its_scope_and_for_nobody_else(route: str, guarded: Guarded, measured: Measured) -> None:
    needed = ROUTES[route]
    for name, headers in STRANGERS.items():
        status, answered = ask(guarded, route, headers)
        if needed is PUBLIC:
            assert status == 200, name
        elif name == "nobody":
            assert (status, answered["www-authenticate"]) == (401, "Bearer")
        else:
            assert status in (401, 429), name  # 429 after too many wrong keys of one address
    for scope in Scope:
        status, _ = ask(guarded, route, guarded.bearer(scope))
        if needed in (PUBLIC, scope):
            assert status not in (401, 403, 405, 429), scope
            assert status < 500 or route.endswith("/ready"), scope
        else:
            assert status == 403, scope
    credentials = len(STRANGERS) + len(Scope)
    measured("S-05", f"{len(ROUTES)} routes with {credentials} kinds of credentials: as the table says")


@pytest.mark.slow
@pytest.mark.parametrize("route", [route for route, scope in ROUTES.items() if scope is not PUBLIC])
def test_no_spelling_of_a_path_opens_it_without_a_key(route: str, guarded: Guarded) -> None:
    method, path = route.split(" ")
    plain = concrete(path)
    first, *rest = plain.strip("/").split("/")
    spellings = [
        f"{plain}/", f"/{plain}", plain.upper(), f"{plain};x", f"{plain}%0a", f"{plain}%00", f"{plain}?/livez",
        f"/livez/..{plain}", f"/livez/%2e%2e{plain}", f"/livez%2f..{plain}", f"/./{first}/{'/'.join(rest)}",
        "/" + "%2F".join([first, *rest]), f"/%{ord(first[0]):02x}{first[1:]}/{'/'.join(rest)}", f"{plain}%23/livez",
    ]  # fmt: skip
    for spelling in spellings:
        address = guarded.url.copy_with(raw_path=spelling.encode())  # httpx takes what follows // for a host
        answer = guarded.client.request(method, address)
        assert answer.status_code == 401, spelling
    for verb in VERBS:
        assert guarded.client.request(verb, plain).status_code == 401, verb


@pytest.mark.slow
def test_whoever_has_a_key_learns_that_there_is_nothing_and_what_is_allowed(guarded: Guarded) -> None:
    headers = guarded.bearer(Scope.METRICS)

    assert guarded.client.get("/no/such", headers=headers).status_code == 404
    refused = guarded.client.put("/predict/iris", headers=headers)
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert guarded.client.get("/v2/no", headers=headers).json().keys() == {"error"}


@pytest.mark.slow
def test_error_names_the_scope_that_is_missing(guarded: Guarded) -> None:
    refused = guarded.client.get("/metrics", headers=guarded.bearer(Scope.PREDICT))

    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:tabserve:problem:scope-missing"
    assert "metrics" in refused.json()["detail"]
    assert guarded.keys[Scope.PREDICT].split("_", 2)[2] not in refused.text


@pytest.mark.slow
def test_errors_of_the_inference_protocol_are_in_its_form(guarded: Guarded) -> None:
    refused = guarded.client.post("/v2/models/iris/infer", json={})

    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert refused.json().keys() == {"error"}


@pytest.mark.slow
def test_strangers_may_do_what_the_operator_says_and_no_more(tmp_path: Path) -> None:
    environment = {"TABSERVE_HOST": "0.0.0.0", "TABSERVE_ANONYMOUS": "predict"}  # noqa: S104 - that is the point
    with service(tmp_path, environment=environment, ready=False) as (client, process):
        open_to_all = Guarded(client, process.pid, {}, None, tmp_path)  # type: ignore[arg-type] # there are no keys
        for route, scope in ROUTES.items():
            status, _ = ask(open_to_all, route, {})
            assert (status == 401) == (scope not in (PUBLIC, Scope.PREDICT)), route
