"""What a client asks of a service about trainings; nothing is sent here.

Each function is one operation of `Client` and `AsyncClient` (see `tabserve/exchange.py`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from tabserve.exchange import Call, Json, Steps, ask, get, path_of
from tabserve.steps import JSON_HEADERS

ENDED = ("succeeded", "failed", "cancelled", "interrupted")

MOST_LOST = 6  # connections of an event stream that are lost without an event in between
SILENCE_S = 60.0  # of an event stream; the service sends a comment every 15 seconds

_FIRST_PAUSE_S = 0.2
_LISTED = 500  # trainings on a page


class TrainingJob:
    """A training as a client saw it last.

    Attributes:
        job: the job as `GET /train/{job_id}` described it last.
    """

    def __init__(self, job: Json) -> None:
        self.job = job

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, model={self.job['model']!r}, status={self.status!r})"

    @property
    def id(self) -> str:
        """Return the id."""
        return str(self.job["id"])

    @property
    def status(self) -> str:
        """Return `queued`, `running`, `succeeded`, `failed`, `cancelled` or `interrupted`, as last seen."""
        return str(self.job["status"])

    @property
    def version(self) -> int | None:
        """Return the version that was published."""
        found: int | None = self.job["version"]
        return found

    @property
    def activated(self) -> bool:
        """Return whether that version serves; `job["gate"]` has the reason."""
        return bool(self.job["activated"])

    @property
    def warnings(self) -> Sequence[str]:
        """Return the warnings about data and model, in words."""
        found: Sequence[str] = self.job["warnings"]
        return found


def training_request(
    model: str,
    data: object,
    *,
    target: str | None,
    dataset: str | None,
    budget_s: float | None,
    overrides: Mapping[str, Any] | None,
    further: Mapping[str, Any],
) -> Json:
    """Return the body of `POST /train` for the arguments of `Client.train`."""
    settings = dict(overrides or {}) | ({} if budget_s is None else {"budget_s": budget_s})
    name = dataset or (model if data is not None else None)
    return {"model": model, "dataset": name, "target": target, "overrides": settings or None, **further}


def start_training(request: Mapping[str, Any]) -> Steps[Json]:
    """Start a training; an idempotency key lets it be sent again if the connection was refused.

    Raises:
        ServiceError.
    """
    headers = JSON_HEADERS | {"idempotency-key": uuid.uuid4().hex}
    body = json.dumps({name: value for name, value in request.items() if value is not None}).encode()
    return ask(Call("POST", "/train", {}, headers, body, repeat="refused"))


def list_trainings(model: str | None) -> Steps[list[Json]]:
    """Return the trainings, newest first."""
    found: list[Json] = []
    query: dict[str, str | int] = {"limit": _LISTED} | ({} if model is None else {"model": model})
    while True:
        page = yield from get("train", query=dict(query))
        found += page["jobs"]
        if page["next"] is None:
            return found
        query["before"] = page["jobs"][-1]["number"]


def cancel(job_id: str, *, keep: bool) -> Steps[Json]:
    """End a training; with `keep`, a running one publishes what it has learnt by then.

    Raises:
        ServiceError.
    """
    return ask(Call("DELETE", path_of("train", job_id), {"keep": "true"} if keep else {}))


def pause_s(lost: int) -> float:
    """Return the seconds before the stream is opened again after so many losses: 12 in all, as a restart may take."""
    return _FIRST_PAUSE_S * 2.0 ** (lost - 1)


class EventReader:
    """Put the lines of an event stream together."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def line(self, line: str) -> tuple[str, Json] | None:
        """Take a line without its end; return id and content of the event that it completes, if it does."""
        if line:
            name, _, value = line.partition(": ")
            self._fields[name] = value
            return None
        found, self._fields = self._fields, {}
        return (found["id"], json.loads(found["data"])) if "data" in found else None
