"""The route table: each route with its scope and the action under which it is audited.

A route that is not in the table does not exist. Lookups use the path that routing uses, never an address rebuilt from
headers. This module must not know HTTP bodies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

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
        scope: scope that a caller needs; None admits everybody and is for health probes only.
        action: name in the audit file, for a request that changes something with scope `train` or `admin`; else None.
        streams: whether a body in a streaming format is handled while it arrives.
        alias_of: template of the route that does the same, under which requests are counted too.
    """

    method: str
    template: str
    scope: Scope | None
    action: str | None = None
    streams: bool = False
    alias_of: str | None = None

    @property
    def label(self) -> str:
        """Name of the route in metrics, logs and traces."""
        return self.alias_of or self.template


PROBES = ("/livez", "/readyz", "/healthz", "/ping", "/v2/health/live", "/v2/health/ready")
_ALIASES = {"/healthz": "/livez", "/ping": "/livez"}

# The routes that are answered without FastAPI.
PREDICT = Route("POST", "/predict/{model}", Scope.PREDICT, streams=True)
INFER = Route("POST", "/v2/models/{model}/infer", Scope.PREDICT)
INFER_VERSION = Route("POST", "/v2/models/{model}/versions/{version}/infer", Scope.PREDICT)

ROUTES: tuple[Route, ...] = (
    PREDICT,
    Route("POST", "/predict/{model}/versions/{version}", Scope.PREDICT, streams=True),
    Route("POST", "/predict", Scope.PREDICT, streams=True),
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
    Route("GET", "/health", Scope.PREDICT),
    Route("HEAD", "/health", Scope.PREDICT),
    Route("GET", "/metrics", Scope.METRICS),
    Route("GET", "/openapi.json", Scope.PREDICT),
    Route("GET", "/docs", Scope.PREDICT),
    Route("GET", "/docs/{asset}", Scope.PREDICT),
    Route("GET", "/models", Scope.PREDICT),
    Route("GET", "/models/{model}", Scope.PREDICT),
    Route("DELETE", "/models/{model}", Scope.ADMIN, "model.delete"),
    Route("GET", "/models/{model}/compare", Scope.PREDICT),
    Route("GET", "/models/{model}/versions", Scope.PREDICT),
    Route("GET", "/models/{model}/versions/{version}", Scope.PREDICT),
    Route("DELETE", "/models/{model}/versions/{version}", Scope.ADMIN, "model.remove"),
    Route("POST", "/models/{model}/versions/{version}/activate", Scope.ADMIN, "model.activate"),
    Route("GET", "/train", Scope.TRAIN),
    Route("POST", "/train", Scope.TRAIN, "train.submit"),
    Route("GET", "/train/{job_id}", Scope.TRAIN),
    Route("DELETE", "/train/{job_id}", Scope.TRAIN, "train.cancel"),
    Route("GET", "/train/{job_id}/events", Scope.TRAIN),
    Route("POST", "/train/{job_id}/retry", Scope.TRAIN, "train.retry"),
    Route("GET", "/datasets", Scope.TRAIN),
    Route("GET", "/datasets/{name}", Scope.TRAIN),
    Route("PUT", "/datasets/{name}", Scope.TRAIN, "dataset.put", streams=True),
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
        """Index the routes by path and method."""
        self.routes: dict[str, dict[str, Route]] = {}
        for route in routes:
            self.routes.setdefault(route.template, {})[route.method] = route
        self._fixed = {template: found for template, found in self.routes.items() if "{" not in template}
        self._patterns = [
            (re.compile(_PARAMETER.sub(r"(?P<\1>[^/]+)", template)), found)
            for template, found in self.routes.items()
            if "{" in template
        ]

    def match(self, method: str, path: str) -> Match:
        """Return the route of a request, if there is one, with its path parameters.

        Args:
            method: as the client sent it.
            path: of the ASGI scope.
        """
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
