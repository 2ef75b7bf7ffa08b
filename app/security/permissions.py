"""The access table, which maps each route to the scope it needs.

A route that is not in the table does not exist. Paths are looked up as routing sees them, never as an address rebuilt
from headers. This module must not know HTTP bodies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.errors import ConfigurationError
from app.security.errors import MethodNotAllowed, RouteNotFound
from app.security.keys import Scope

PROBES = ("/livez", "/readyz", "/healthz", "/ping", "/v2/health/live", "/v2/health/ready")

# Scope, methods, paths. Scope None admits everybody and is for health probes only.
TABLE: tuple[tuple[Scope | None, str, tuple[str, ...]], ...] = (
    (None, "GET HEAD", PROBES),
    (Scope.PREDICT, "POST", ("/predict", "/predict/{model}", "/predict/{model}/versions/{version}")),
    (Scope.PREDICT, "GET HEAD", ("/health",)),
    (Scope.PREDICT, "GET", ("/openapi.json", "/docs", "/docs/{asset}")),
    (Scope.PREDICT, "GET", ("/models", "/models/{model}", "/models/{model}/compare")),
    (Scope.PREDICT, "GET", ("/models/{model}/versions", "/models/{model}/versions/{version}")),
    (Scope.PREDICT, "POST", ("/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer")),
    (Scope.PREDICT, "GET", ("/v2", "/v2/", "/v2/models")),
    (Scope.PREDICT, "GET", ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")),
    (Scope.PREDICT, "GET", ("/v2/models/{model}/ready", "/v2/models/{model}/versions/{version}/ready")),
    (Scope.PREDICT, "POST", ("/v2/repository/index",)),
    (Scope.METRICS, "GET", ("/metrics", "/v2/models/stats")),
    (Scope.METRICS, "GET", ("/v2/models/{model}/stats", "/v2/models/{model}/versions/{version}/stats")),
    (Scope.TRAIN, "GET POST", ("/train",)),
    (Scope.TRAIN, "GET DELETE", ("/train/{job_id}",)),
    (Scope.TRAIN, "GET", ("/train/{job_id}/events",)),
    (Scope.TRAIN, "POST", ("/train/{job_id}/retry",)),
    (Scope.TRAIN, "GET", ("/datasets",)),
    (Scope.TRAIN, "GET PUT DELETE", ("/datasets/{name}",)),
    (Scope.ADMIN, "POST", ("/models/{model}/versions/{version}/activate",)),
    (Scope.ADMIN, "DELETE", ("/models/{model}/versions/{version}",)),
)

# Audited requests and their names in the record: those that change something, i.e. need `train` or `admin`, except GET.
AUDITED: Mapping[str, str] = {
    "POST /train": "train.submit",
    "DELETE /train/{job_id}": "train.cancel",
    "POST /train/{job_id}/retry": "train.retry",
    "PUT /datasets/{name}": "dataset.put",
    "DELETE /datasets/{name}": "dataset.delete",
    "POST /models/{model}/versions/{version}/activate": "model.activate",
    "DELETE /models/{model}/versions/{version}": "model.remove",
}

_PARAMETER = re.compile(r"\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path, with the scope it needs.

    Attributes:
        action: its name in the audit file, if it changes something.
    """

    template: str
    method: str
    scope: Scope | None
    action: str | None = None

    def parameters(self, path: str) -> dict[str, str]:
        """Return the path parameters of a path that matches the template."""
        found = re.fullmatch(_PARAMETER.sub(r"(?P<\1>[^/]+)", self.template), path)
        return found.groupdict() if found else {}


class AccessTable:
    """The access table, indexed for lookup."""

    def __init__(self, table: Iterable[tuple[Scope | None, str, tuple[str, ...]]] = TABLE) -> None:
        """Index the table by path and method."""
        routes: dict[str, dict[str, Route]] = {}
        for scope, methods, templates in table:
            for template in templates:
                by_method = routes.setdefault(template, {})
                for method in methods.split():
                    by_method[method] = Route(template, method, scope, AUDITED.get(f"{method} {template}"))
        self.routes = routes
        self._fixed = {template: found for template, found in routes.items() if "{" not in template}
        self._patterns = [
            (re.compile(_PARAMETER.sub("[^/]+", template)), found)
            for template, found in routes.items()
            if "{" in template
        ]

    def find(self, method: str, path: str) -> Route:
        """Return the route of a request.

        Args:
            method: as the client sent it.
            path: of the ASGI scope.

        Raises:
            RouteNotFound: if no route has this path.
            MethodNotAllowed: if the path does not accept this method.
        """
        by_method = self._fixed.get(path) or next(
            (found for pattern, found in self._patterns if pattern.fullmatch(path)), None
        )
        if by_method is None:
            raise RouteNotFound
        if method not in by_method:
            raise MethodNotAllowed(tuple(by_method))
        return by_method[method]

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
