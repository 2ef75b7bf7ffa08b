"""The route table: what it finds, and that nothing can be served that it does not know."""

from __future__ import annotations

import re

import pytest

from app.errors import ConfigurationError
from app.main import create_app
from app.security import admission
from app.security.errors import MethodNotAllowed, RouteNotFound
from app.security.keys import Scope
from app.security.permissions import ROUTES, AccessTable, Routes
from app.settings import Settings

PROBES = {"/livez", "/readyz", "/healthz", "/ping", "/v2/health/live", "/v2/health/ready"}


@pytest.fixture(scope="module")
def table() -> AccessTable:
    return AccessTable()


@pytest.mark.parametrize(
    ("method", "path", "template", "scope"),
    [
        ("POST", "/predict/iris", "/predict/{model}", Scope.PREDICT),
        ("POST", "/predict/iris/versions/3", "/predict/{model}/versions/{version}", Scope.PREDICT),
        ("GET", "/models/iris", "/models/{model}", Scope.PREDICT),
        ("POST", "/models/iris/versions/3/activate", "/models/{model}/versions/{version}/activate", Scope.ADMIN),
        ("DELETE", "/models/iris/versions/3", "/models/{model}/versions/{version}", Scope.ADMIN),
        ("GET", "/models/iris/versions/3", "/models/{model}/versions/{version}", Scope.PREDICT),
        ("GET", "/metrics", "/metrics", Scope.METRICS),
        ("GET", "/v2/models/stats", "/v2/models/stats", Scope.METRICS),
        ("PUT", "/models/iris/card", "/models/{model}/card", Scope.ADMIN),
        ("GET", "/models/iris/versions/3/card", "/models/{model}/versions/{version}/card", Scope.PREDICT),
        (
            "GET",
            "/models/iris/versions/3/plots/loss.png",
            "/models/{model}/versions/{version}/plots/{plot}.png",
            Scope.PREDICT,
        ),
        ("GET", "/models/iris/versions/3/model.pt", "/models/{model}/versions/{version}/model.pt", Scope.ADMIN),
        ("POST", "/train", "/train", Scope.TRAIN),
        ("GET", "/livez", "/livez", None),
    ],
)
def test_route_is_found_with_its_scope(
    method: str, path: str, template: str, scope: Scope | None, table: AccessTable
) -> None:
    route = table.match(method, path).route

    assert route is not None
    assert (route.method, route.template, route.scope) == (method, template, scope)


def test_match_has_the_parameters_of_the_path(table: AccessTable) -> None:
    assert table.match("GET", "/models/a b/versions/x").parameters == {"model": "a b", "version": "x"}
    assert table.match("GET", "/livez").parameters == {}


@pytest.mark.parametrize(("path", "label"), [("/healthz", "/livez"), ("/ping", "/livez"), ("/v2/", "/v2")])
def test_alias_is_counted_as_the_route_that_it_stands_for(path: str, label: str, table: AccessTable) -> None:
    route = table.match("GET", path).route

    assert route is not None
    assert (route.label, table.routes[label]["GET"].label) == (label, label)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "predict/iris",
        "//livez",
        "/livez/",
        "/livez\n",
        "/LIVEZ",
        "/livez;x",
        "/livez?x",
        "/models/iris/",
        "/predict//",
        "/predict/a/b",
        "/models/iris\n/x",
        "/metrics/",
        "/models/",
        "http://x/livez",
        "*",
        "/docs/a/b",
        "/console",
        "/console/a/b",
        "@host/livez",
    ],
)
def test_path_that_is_almost_one_is_none(path: str, table: AccessTable) -> None:
    assert table.match("GET", path).route is None
    assert isinstance(table.why_unmatched(path), RouteNotFound)


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "CONNECT", "OPTIONS", "get", "", "HEAD"])
def test_other_methods_are_refused_with_those_that_are_taken(method: str, table: AccessTable) -> None:
    assert table.match(method, "/datasets/iris").route is None
    refused = table.why_unmatched("/datasets/iris")

    assert isinstance(refused, MethodNotAllowed)
    assert refused.headers == {"Allow": "GET, PUT, DELETE"}


def test_a_route_has_a_path_for_values_of_its_parameters_and_a_twin_for_head() -> None:
    assert Routes.SHOW_VERSION.path(model="iris", version=3) == "/models/iris/versions/3"
    assert (Routes.LIVE_AS_PING.head.method, Routes.LIVE_AS_PING.head.label) == ("HEAD", "/livez")


def test_only_health_probes_and_files_of_pages_are_for_everybody() -> None:
    public = {(route.method, route.template) for route in ROUTES if route.scope is None}
    pages = {("GET", path) for path in ("/", "/console/{file}", "/docs", "/docs/{asset}")}

    assert public == {(method, path) for method in ("GET", "HEAD") for path in PROBES} | pages


def test_no_route_is_in_the_table_twice() -> None:
    listed = [(route.method, route.template) for route in ROUTES]

    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(
    "scope", [Scope.PREDICT, *(pytest.param(scope, marks=pytest.mark.slow) for scope in (None, *list(Scope)[1:]))]
)
def test_service_does_not_start_with_a_route_that_the_table_lacks(
    scope: Scope | None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_out = [
        f"{route.method} {route.template}" for route in ROUTES if route.scope is scope and route.method != "HEAD"
    ]
    shortened = AccessTable(route for route in ROUTES if route.scope is not scope)
    monkeypatch.setattr(admission, "AccessTable", lambda: shortened)

    with pytest.raises(
        ConfigurationError, match=r"^no scope is declared in app/security/permissions\.py for "
    ) as refused:
        create_app(settings)

    for route in left_out:
        assert re.search(rf"{re.escape(route)}(,|$)", str(refused.value)), route


def test_route_without_a_scope_is_named(table: AccessTable) -> None:
    table.require_all_of([("POST", "/predict/{model}"), ("GET", "/livez")])
    with pytest.raises(ConfigurationError, match=r"GET /secrets, PUT /predict/\{model\}$"):
        table.require_all_of([("GET", "/livez"), ("PUT", "/predict/{model}"), ("GET", "/secrets")])
