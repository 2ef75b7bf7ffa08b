"""The route table: each route with its scope and the action under which it is audited.

A route that is not in the table does not exist. Lookups use the path that routing uses, never an address rebuilt from
headers. This module must not know HTTP bodies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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


PROBES = ("/livez", "/readyz", "/healthz", "/ping", "/v2/health/live", "/v2/health/ready")
_ALIASES = {"/healthz": "/livez", "/ping": "/livez"}

# The routes that are answered without FastAPI.
PREDICT = Route("POST", "/predict/{model}", Scope.PREDICT, streams="formats")
INFER = Route("POST", "/v2/models/{model}/infer", Scope.PREDICT)
INFER_VERSION = Route("POST", "/v2/models/{model}/versions/{version}/infer", Scope.PREDICT)

ROUTES: tuple[Route, ...] = (
    PREDICT,
    Route("POST", "/predict/{model}/versions/{version}", Scope.PREDICT, streams="formats"),
    Route("POST", "/predict", Scope.PREDICT, streams="formats"),
    INFER,
    INFER_VERSION,
    Route("GET", "/v2", Scope.PREDICT),
    Route("GET", "/v2/", Scope.PREDICT, alias_of="/v2"),
    Route("GET", "/v2/models", Scope.PREDICT),
    Route("GET", "/v2/models/{model}", Scope.PREDICT),
    Route("GET", "/v2/models/{model}/versions/{version}", Scope.PREDICT),
    Route("GET", "/v2/models/{model}/ready", Scope.PREDICT),
    Route("GET", "/v2/models/{model}/versions/{version}/ready", Scope.PREDICT),
    Route("POST", "/v2/repository/index", Scope.PREDICT),
    Route("GET", "/v2/models/stats", Scope.METRICS),
    Route("GET", "/v2/models/{model}/stats", Scope.METRICS),
    Route("GET", "/v2/models/{model}/versions/{version}/stats", Scope.METRICS),
    *(Route(method, path, None, alias_of=_ALIASES.get(path)) for path in PROBES for method in ("GET", "HEAD")),
    Route("GET", "/", None),
    Route("GET", "/console/{file}", None),
    Route("GET", "/health", Scope.PREDICT),
    Route("HEAD", "/health", Scope.PREDICT),
    Route("GET", "/metrics", Scope.METRICS),
    Route("GET", "/operations", Scope.ADMIN),
    Route("GET", "/openapi.json", Scope.PREDICT),
    Route("GET", "/docs", None),
    Route("GET", "/docs/{asset}", None),
    Route("GET", "/models", Scope.PREDICT),
    Route("GET", "/models/{model}", Scope.PREDICT),
    Route("DELETE", "/models/{model}", Scope.ADMIN, "model.delete"),
    Route("GET", "/models/{model}/compare", Scope.PREDICT),
    Route("GET", "/models/{model}/drift", Scope.METRICS),
    Route("GET", "/models/{model}/versions", Scope.PREDICT),
    Route("GET", "/models/{model}/versions/{version}", Scope.PREDICT),
    Route("DELETE", "/models/{model}/versions/{version}", Scope.ADMIN, "model.remove"),
    Route("POST", "/models/{model}/versions/{version}/activate", Scope.ADMIN, "model.activate"),
    Route("POST", "/models/{model}/versions/{version}/shadow", Scope.ADMIN, "model.shadow"),
    Route("DELETE", "/models/{model}/versions/{version}/shadow", Scope.ADMIN, "model.shadow_end"),
    Route("POST", "/models/{model}/versions/{version}/promote", Scope.ADMIN, "model.promote"),
    Route("PUT", "/models/{model}/card", Scope.ADMIN, "model.card"),
    Route("GET", "/models/{model}/versions/{version}/card", Scope.PREDICT),
    Route("GET", "/models/{model}/versions/{version}/plots", Scope.PREDICT),
    Route("GET", "/models/{model}/versions/{version}/plots/{plot}.png", Scope.PREDICT),
    Route("GET", "/models/{model}/versions/{version}/plots/{plot}.json", Scope.PREDICT),
    Route("GET", "/models/{model}/versions/{version}/model.pt", Scope.ADMIN),
    Route("GET", "/models/{model}/versions/{version}/live", Scope.PREDICT),
    Route("POST", "/feedback", Scope.PREDICT),
    Route("GET", "/train", Scope.TRAIN),
    Route("POST", "/train", Scope.TRAIN, "train.submit"),
    Route("GET", "/train/{job_id}", Scope.TRAIN),
    Route("DELETE", "/train/{job_id}", Scope.TRAIN, "train.cancel"),
    Route("GET", "/train/{job_id}/events", Scope.TRAIN),
    Route("POST", "/train/{job_id}/retry", Scope.TRAIN, "train.retry"),
    Route("GET", "/datasets", Scope.TRAIN),
    Route("GET", "/datasets/{name}", Scope.TRAIN),
    Route("PUT", "/datasets/{name}", Scope.TRAIN, "dataset.put", streams="all"),
    Route("DELETE", "/datasets/{name}", Scope.TRAIN, "dataset.delete"),
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
        """Check that the table has every served route; names of path parameters are ignored.

        Args:
            served: method and path template of each route of the app.

        Raises:
            ConfigurationError: if routes have no scope; the message names them, and the service must not start.
        """
        known = {(method, _nameless(template)) for template, found in self.routes.items() for method in found}
        missing = sorted(f"{method} {path}" for method, path in served if (method, _nameless(path)) not in known)
        if missing:
            raise ConfigurationError(f"no scope is declared in app/security/permissions.py for {', '.join(missing)}")


def _nameless(template: str) -> str:
    return _PARAMETER.sub("{}", template)
