"""The route table: each route with its scope and the action under which it is audited.

A route that is not in the table does not exist. Lookups use the path that routing uses, never an address rebuilt from
headers. This module must not know HTTP bodies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from app.errors import ConfigurationError
from app.security.errors import MethodNotAllowed, RouteNotFound
from app.security.keys import Scope

_PARAMETER = re.compile(r"\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    Attributes:
        method: HTTP method.
        template: path with its parameters in braces.
        scope: scope that a caller needs; None admits everybody and is for health probes and the console's files only.
        action: name in the audit file, for a request that changes something with scope `train` or `admin`; else None.
        streams: which bodies are handled while they arrive: those in a streaming format, or all, whatever their type.
        alias_of: template of the route that does the same, under which requests are counted too.
    """

    method: str
    template: str
    scope: Scope | None
    action: str | None = None
    streams: Literal["formats", "all"] | None = None
    alias_of: str | None = None

    @property
    def label(self) -> str:
        """Name of the route in metrics, logs and traces."""
        return self.alias_of or self.template

    @property
    def head(self) -> Route:
        """The same for the method HEAD."""
        return replace(self, method="HEAD")

    def path(self, **parameters: object) -> str:
        """Return its path with these values of the parameters."""
        return self.template.format(**parameters)


class Routes:
    """The routes, by what they do; the handlers of `app/api` name them, so that each path is written here alone."""

    PREDICT = Route("POST", "/predict/{model}", Scope.PREDICT, streams="formats")
    PREDICT_WITH_VERSION = Route("POST", "/predict/{model}/versions/{version}", Scope.PREDICT, streams="formats")
    PREDICT_AS_BODY_SAYS = Route("POST", "/predict", Scope.PREDICT, streams="formats")

    # The Open Inference Protocol.
    INFER = Route("POST", "/v2/models/{model}/infer", Scope.PREDICT)
    INFER_WITH_VERSION = Route("POST", "/v2/models/{model}/versions/{version}/infer", Scope.PREDICT)
    V2_SERVER = Route("GET", "/v2", Scope.PREDICT)
    V2_SERVER_WITH_SLASH = Route("GET", "/v2/", Scope.PREDICT, alias_of=V2_SERVER.template)
    V2_MODELS = Route("GET", "/v2/models", Scope.PREDICT)
    V2_MODEL = Route("GET", "/v2/models/{model}", Scope.PREDICT)
    V2_VERSION = Route("GET", "/v2/models/{model}/versions/{version}", Scope.PREDICT)
    V2_MODEL_READY = Route("GET", "/v2/models/{model}/ready", Scope.PREDICT)
    V2_VERSION_READY = Route("GET", "/v2/models/{model}/versions/{version}/ready", Scope.PREDICT)
    V2_INDEX = Route("POST", "/v2/repository/index", Scope.PREDICT)
    V2_STATISTICS = Route("GET", "/v2/models/stats", Scope.METRICS)
    V2_MODEL_STATISTICS = Route("GET", "/v2/models/{model}/stats", Scope.METRICS)
    V2_VERSION_STATISTICS = Route("GET", "/v2/models/{model}/versions/{version}/stats", Scope.METRICS)

    # Health probes, which have a twin for HEAD each, and figures.
    LIVE = Route("GET", "/livez", None)
    READY = Route("GET", "/readyz", None)
    LIVE_AS_HEALTHZ = Route("GET", "/healthz", None, alias_of=LIVE.template)
    LIVE_AS_PING = Route("GET", "/ping", None, alias_of=LIVE.template)
    V2_LIVE = Route("GET", "/v2/health/live", None)
    V2_READY = Route("GET", "/v2/health/ready", None)
    HEALTH = Route("GET", "/health", Scope.PREDICT)
    METRICS = Route("GET", "/metrics", Scope.METRICS)
    OPERATIONS = Route("GET", "/operations", Scope.ADMIN)

    # Pages and documents.
    CONSOLE = Route("GET", "/", None)
    CONSOLE_FILE = Route("GET", "/console/{file}", None)
    OPENAPI = Route("GET", "/openapi.json", Scope.PREDICT)
    DOCS = Route("GET", "/docs", None)
    DOCS_FILE = Route("GET", "/docs/{asset}", None)

    LIST_MODELS = Route("GET", "/models", Scope.PREDICT)
    SHOW_MODEL = Route("GET", "/models/{model}", Scope.PREDICT)
    DELETE_MODEL = Route("DELETE", "/models/{model}", Scope.ADMIN, "model.delete")
    COMPARE = Route("GET", "/models/{model}/compare", Scope.PREDICT)
    DRIFT = Route("GET", "/models/{model}/drift", Scope.METRICS)
    LIST_VERSIONS = Route("GET", "/models/{model}/versions", Scope.PREDICT)
    SHOW_VERSION = Route("GET", "/models/{model}/versions/{version}", Scope.PREDICT)
    REMOVE_VERSION = Route("DELETE", "/models/{model}/versions/{version}", Scope.ADMIN, "model.remove")
    ACTIVATE = Route("POST", "/models/{model}/versions/{version}/activate", Scope.ADMIN, "model.activate")
    START_SHADOW = Route("POST", "/models/{model}/versions/{version}/shadow", Scope.ADMIN, "model.shadow")
    END_SHADOW = Route("DELETE", "/models/{model}/versions/{version}/shadow", Scope.ADMIN, "model.shadow_end")
    PROMOTE = Route("POST", "/models/{model}/versions/{version}/promote", Scope.ADMIN, "model.promote")
    PUT_STATEMENTS = Route("PUT", "/models/{model}/card", Scope.ADMIN, "model.card")
    SHOW_CARD = Route("GET", "/models/{model}/versions/{version}/card", Scope.PREDICT)
    LIST_PLOTS = Route("GET", "/models/{model}/versions/{version}/plots", Scope.PREDICT)
    SHOW_PLOT = Route("GET", "/models/{model}/versions/{version}/plots/{plot}.png", Scope.PREDICT)
    PLOT_DATA = Route("GET", "/models/{model}/versions/{version}/plots/{plot}.json", Scope.PREDICT)
    ARTIFACT = Route("GET", "/models/{model}/versions/{version}/model.pt", Scope.ADMIN)
    LIVE_FIGURES = Route("GET", "/models/{model}/versions/{version}/live", Scope.PREDICT)
    GIVE_FEEDBACK = Route("POST", "/feedback", Scope.PREDICT)

    LIST_JOBS = Route("GET", "/train", Scope.TRAIN)
    START_JOB = Route("POST", "/train", Scope.TRAIN, "train.submit")
    SHOW_JOB = Route("GET", "/train/{job_id}", Scope.TRAIN)
    CANCEL_JOB = Route("DELETE", "/train/{job_id}", Scope.TRAIN, "train.cancel")
    JOB_EVENTS = Route("GET", "/train/{job_id}/events", Scope.TRAIN)
    RETRY_JOB = Route("POST", "/train/{job_id}/retry", Scope.TRAIN, "train.retry")

    LIST_DATASETS = Route("GET", "/datasets", Scope.TRAIN)
    SHOW_DATASET = Route("GET", "/datasets/{name}", Scope.TRAIN)
    PUT_DATASET = Route("PUT", "/datasets/{name}", Scope.TRAIN, "dataset.put", streams="all")
    DELETE_DATASET = Route("DELETE", "/datasets/{name}", Scope.TRAIN, "dataset.delete")


_PROBES = (Routes.LIVE, Routes.READY, Routes.LIVE_AS_HEALTHZ, Routes.LIVE_AS_PING, Routes.V2_LIVE, Routes.V2_READY)
PROBES = tuple(probe.template for probe in _PROBES)
ROUTES: tuple[Route, ...] = (
    *(route for route in vars(Routes).values() if isinstance(route, Route)),
    *(route.head for route in (*_PROBES, Routes.HEALTH)),
)


class Match(NamedTuple):
    """The route of a request, None if there is none, and the values of its path parameters."""

    route: Route | None
    parameters: Mapping[str, str]


class AccessTable:
    """The route table, indexed for lookup.

    Attributes:
        routes: each route, by template and method.
    """

    def __init__(self, routes: Iterable[Route] = ROUTES) -> None:
        self.routes: dict[str, dict[str, Route]] = {}
        for route in routes:
            self.routes.setdefault(route.template, {})[route.method] = route
        self._fixed = {template: found for template, found in self.routes.items() if "{" not in template}
        self._patterns = [
            (re.compile(_PARAMETER.sub(r"(?P<\1>[^/]+)", template.replace(".", r"\."))), found)
            for template, found in self.routes.items()
            if "{" in template
        ]

    def match(self, method: str, path: str) -> Match:
        """Return the route of a request, if there is one, with its path parameters; `path` is of the ASGI scope."""
        by_method, parameters = self._look_up(path)
        return Match(by_method.get(method), parameters)

    def why_unmatched(self, path: str) -> RouteNotFound | MethodNotAllowed:
        """Return the error for a request that matches no route: its path is unknown, or accepts other methods only."""
        by_method, _ = self._look_up(path)
        return MethodNotAllowed(tuple(by_method)) if by_method else RouteNotFound()

    def _look_up(self, path: str) -> tuple[Mapping[str, Route], Mapping[str, str]]:
        """Return the routes of a path, by method, and its parameters."""
        if by_method := self._fixed.get(path):
            return by_method, {}
        for pattern, by_method in self._patterns:
            if found := pattern.fullmatch(path):
                return by_method, found.groupdict()
        return {}, {}

    def require_all_of(self, served: Iterable[tuple[str, str]]) -> None:
        """Check that the table has every served route.

        Args:
            served: method and path template of each route of the app.

        Raises:
            ConfigurationError: if routes have no scope; the message names them, and the service must not start.
        """
        missing = sorted(f"{method} {path}" for method, path in served if method not in self.routes.get(path, {}))
        if missing:
            raise ConfigurationError(f"no scope is declared in app/security/permissions.py for {', '.join(missing)}")
