"""One request and its answer, without sending it: what both clients share.

A client method is a generator of `Call`s that receives an answer for each; `Client` and `AsyncClient` send them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import httpx

from tabserve.errors import ServiceError, WrongInput

T = TypeVar("T")
Json = dict[str, Any]
Steps = Generator["Call", httpx.Response, T]
"""The requests of one client method; its value is what the method returns."""

Repeat = Literal["never", "refused", "always"]
"""When a request may be sent again: never; if it was refused before it was read (connection refused, 503 with
Retry-After); or after every failure of the connection, too, because it changes nothing."""

RETRIES = 3
LONGEST_WAIT_S = 30.0
UPLOAD_TIMEOUT_S = 600.0

_FIRST_WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        content: the body; None for none, or if a file is sent.
        file: file that is the body.
        timeout_s: longest wait for a part of the answer; None for the client's own.
    """

    method: str
    path: str
    query: Mapping[str, str | int | float] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    file: Path | None = None
    repeat: Repeat = "never"
    timeout_s: float | None = None


def path_of(*parts: str | int) -> str:
    """Return a path of these parts, each of them quoted."""
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)


def wait_before_retry(call: Call, attempt: int, outcome: httpx.Response | httpx.TransportError) -> float | None:
    """Return the seconds after which to send a call again; None if its outcome stands.

    Args:
        call: what was sent.
        attempt: how often, from 1.
        outcome: what came of it.
    """
    if call.repeat == "never" or attempt > RETRIES:
        return None
    pause_s: float = _FIRST_WAIT_S * 2 ** (attempt - 1)
    if isinstance(outcome, httpx.Response):
        asked = outcome.headers.get("retry-after", "")
        if outcome.status_code != httpx.codes.SERVICE_UNAVAILABLE or not asked.isdigit():
            return None
        return max(pause_s, float(asked)) if float(asked) <= LONGEST_WAIT_S else None
    return pause_s if call.repeat == "always" or isinstance(outcome, httpx.ConnectError) else None


def address_of(url: str) -> str:
    """Return the address of a service without a slash at its end.

    Raises:
        WrongInput: if it is no address.
    """
    try:
        return str(httpx.URL(url)).rstrip("/")
    except httpx.InvalidURL as error:
        raise WrongInput(f"{url} is no address of a service: {error}") from error


def require_ok(answer: httpx.Response, before: int = 0) -> httpx.Response:
    """Return an answer whose status says that it was done, 200 to 299.

    Args:
        answer: the answer.
        before: rows of the same table that were sent before.

    Raises:
        ServiceError: for any other.
    """
    if answer.is_success:
        return answer
    if answer.has_redirect_location:
        raise ServiceError(answer.status_code, f"moved to {answer.headers['location']}; name that address")
    document: object = answer.text
    if "json" in answer.headers.get("content-type", ""):
        with contextlib.suppress(ValueError):
            document = answer.json()
    raise ServiceError.of(answer.status_code, document, answer.headers, before)


def read_json(answer: httpx.Response) -> Json:
    """Return the document of an answer, parsed.

    Raises:
        ServiceError: if the request was refused, or something else than the service answered.
    """
    with contextlib.suppress(ValueError):
        document = require_ok(answer).json()
        if isinstance(document, dict):
            return document
    raise ServiceError(answer.status_code, f"expected JSON of a Tabserve service, got {answer.text[:200]!r}")


def ask(call: Call) -> Steps[Json]:
    """Send a request and return the document that answers it, parsed.

    Raises:
        ServiceError.
    """
    return read_json((yield call))


def get(*parts: str | int, query: Mapping[str, str | int] | None = None) -> Steps[Json]:
    """Return the document at a path, parsed.

    Raises:
        ServiceError.
    """
    return ask(Call("GET", path_of(*parts), query or {}, repeat="always"))
