"""Admit or refuse a request by its headers: host, key, rate, capacity, route and scope.

This module must not read a body.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.context import Deadline, RequestContext
from app.errors import DeadlinePassed, ServingError, TooManyInFlight
from app.security.authenticator import Authenticator
from app.security.cors import Cors
from app.security.errors import EncodedBody, MalformedRequest
from app.security.hosts import Hosts, scopes_without_key
from app.security.keyring import Caller, Keyring
from app.security.keys import KeyFile, Scope
from app.security.permissions import AccessTable, Route
from app.security.rate_limit import ReceiveLimits, TokenBuckets
from app.settings import Settings
from app.telemetry.metrics import ServingMetrics

TIMEOUT_HEADER = b"x-request-timeout-ms"
# Keys that our own server adds to the ASGI scope.
COUNTED = "tabserve.counted"  # present if the request is counted against the rate limit already
GONE = "tabserve.gone"  # a function that tells whether the client disconnected
ANONYMOUS = Caller(None, frozenset())

# A prediction request with one of these needs the checks of `RequestAdmission.admit`, even from a known caller.
HEADERS_NEEDING_FULL_CHECKS = frozenset((b"content-encoding", TIMEOUT_HEADER, b"origin", b"sec-fetch-site"))

_READING = frozenset(("GET", "HEAD", "OPTIONS"))
_TIMEOUT_MS = re.compile(rb"[1-9][0-9]{0,8}")


class Admitted(NamedTuple):
    """An admitted request."""

    route: Route
    caller: Caller


@dataclass(frozen=True, slots=True)
class KnownCaller:
    """A caller that was admitted on a connection, and the generation of the keys at that time."""

    caller: Caller
    generation: int


@dataclass(frozen=True, slots=True)
class RequestAdmission:
    """Decides from the headers alone whether a request is admitted.

    Attributes:
        receive_limits: limits of a connection, for the HTTP protocol.
        max_in_flight: most requests in progress at a time.
    """

    table: AccessTable
    authenticator: Authenticator
    hosts: Hosts
    cors: Cors
    metrics: ServingMetrics
    receive_limits: ReceiveLimits
    max_in_flight: int

    def admit(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes], route: Route | None) -> Admitted:
        """Admit a request and return its route and caller; only its headers are examined.

        Args:
            scope: the ASGI scope; if `COUNTED` is in it, the request was counted already.
            headers: by lower-case name.
            route: the matched route; None if there is none, which only an admitted caller learns.

        Raises:
            ServingError: if the request is refused; the class is the reason.
        """
        if route is not None and route.scope is None:
            return Admitted(route, ANONYMOUS)
        self.hosts.check(headers.get(b"host"))
        client = scope.get("client")
        peer = client[0] if client else ""
        caller = self.authenticator.identify(headers.get(b"authorization"), peer)
        if COUNTED not in scope:
            self.authenticator.count(caller, peer)
        if route is None or route.scope is None:
            raise self.table.why_unmatched(scope["path"])
        self.authenticator.require(caller, route.scope)
        if caller.key_id is None and scope["method"] not in _READING:  # no browser adds a key by itself
            self.cors.check(headers)
        if self.metrics.in_progress > self.max_in_flight and route.scope is not Scope.METRICS:
            raise TooManyInFlight(self.max_in_flight)
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise EncodedBody
        return Admitted(route, caller)

    def recognise(self, headers: Mapping[bytes, bytes]) -> KnownCaller | None:
        """Return the caller of prediction requests with these headers, or None if they need the checks of `admit`."""
        try:
            self.hosts.check(headers.get(b"host"))
            caller = self.authenticator.find_caller(headers.get(b"authorization"))
        except ServingError:
            return None
        if caller is None or Scope.PREDICT not in caller.scopes:
            return None
        return KnownCaller(caller, self.authenticator.generation)

    def admit_again(self, known: KnownCaller, peer: str) -> bool:
        """Admit and count another prediction request of a known caller; return whether it is admitted."""
        if self.metrics.in_progress >= self.max_in_flight:
            return False
        authenticator = self.authenticator
        return authenticator.open or (
            known.generation == authenticator.generation and authenticator.take_token(known.caller, peer)
        )


def create_admission(settings: Settings, metrics: ServingMetrics) -> RequestAdmission:
    """Create the admission for the given settings, and load the keys.

    Raises:
        ConfigurationError: if the keys cannot be used, or other machines could use the service although no setting
            allows it.
    """
    keyring = Keyring(KeyFile(settings.keys_file)) if settings.keys_file else None
    if keyring is not None:
        keyring.load()
    rates = TokenBuckets(settings.rate_per_s, settings.rate_burst) if settings.rate_per_s else None
    authenticator = Authenticator(keyring, scopes_without_key(settings), rates)
    return RequestAdmission(
        table=AccessTable(),
        authenticator=authenticator,
        hosts=Hosts(settings),
        cors=Cors(frozenset(origin.encode() for origin in settings.cors_origins.split(",") if origin)),
        metrics=metrics,
        max_in_flight=settings.max_in_flight,
        receive_limits=ReceiveLimits(
            max_head_bytes=settings.max_header_bytes,
            max_headers=settings.max_headers,
            timeout_s=settings.receive_timeout_s,
            min_rate=settings.receive_rate,
            send_timeout_s=settings.send_timeout_s,
            max_connections=settings.max_connections,
        ),
    )


@contextlib.asynccontextmanager
async def enforce_deadline(
    context: RequestContext, headers: Mapping[bytes, bytes], gone: Callable[[], bool] | None
) -> AsyncIterator[None]:
    """Limit the handling of a request to the deadline in its headers, or until its client disconnects.

    Raises:
        MalformedRequest: if the header is not a number of milliseconds.
        DeadlinePassed.
    """
    given = headers.get(TIMEOUT_HEADER)
    if given is None:
        context.deadline = Deadline(None, gone)
        yield
        return
    if not _TIMEOUT_MS.fullmatch(given):
        raise MalformedRequest("X-Request-Timeout-Ms must be a whole number of milliseconds, 1 to 999999999")
    context.deadline = Deadline(time.perf_counter_ns() + int(given) * 1_000_000, gone)
    try:
        async with asyncio.timeout(int(given) / 1000) as limit:
            yield
    except TimeoutError as error:
        if limit.expired():
            raise DeadlinePassed from error
        raise
