"""The base class and the five families of the errors that clients may see.

Each room keeps its own errors in its `errors.py`; here are those of several rooms and of the modules beside this one. A
class states only what differs from its family. A message says what was expected, what was received and what to do; it
never repeats the client's input. `tests/app/api/test_error_responses.py` lists every error with its response.

    ServingError        500
        BadRequest      400, 401, 403, 405, 408, 413, 415, 421, 422, 431: the request has to change
        NotFound        404: the request names something that does not exist
        Conflict        409: the state of what it names does not allow the request
        Overloaded      429, 503: a limit is reached; trying again helps
        Unavailable     503, 504, 507: the service cannot do this now
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar, Literal

MAX_PROBLEMS = 10
Outcome = Literal["ok", "client_error", "rejected", "timeout", "cancelled", "error"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in the input: its place and a description.

    Attributes:
        row: index of the row, from 0; None if the fault is not in a row.
        feature: name of the feature or field; None if the fault concerns the whole row.
    """

    row: int | None
    feature: str | None
    problem: str

    def __str__(self) -> str:
        """Return it without the row."""
        return f"{self.feature}: {self.problem}" if self.feature else self.problem


class ServingError(Exception):
    """Base class of the errors that clients see; `str(error)` is safe to send.

    Attributes:
        kind: name in the `type` of the response, by default made from the class name; clients rely on it, so a class
            that gets another name states its former one.
        status: status of the response.
        outcome: how the metrics count a prediction request that ends with this error.
        meaning: what the status means, for the OpenAPI document.
        headers: headers of the response that say what to do.
        problems: faults in the input, at most `MAX_PROBLEMS`.
    """

    kind: ClassVar[str] = "internal-server-error"
    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    outcome: ClassVar[Outcome] = "error"
    meaning: ClassVar[str] = "Internal error; the log has it under the request id"
    headers: Mapping[str, str] = {}
    problems: tuple[Problem, ...] = ()

    def __init_subclass__(cls) -> None:
        if "kind" not in vars(cls):
            cls.kind = re.sub(r"(?<=.)(?=[A-Z])", "-", cls.__name__).lower()


class InternalServerError(ServingError):
    """The response to any exception that is no `ServingError`."""

    def __init__(self) -> None:
        super().__init__("internal error; the log has it under the request id")


class BadRequest(ServingError):
    """The client has to change the request."""

    status = HTTPStatus.BAD_REQUEST
    outcome: ClassVar[Outcome] = "client_error"
    meaning = "The request violates the protocol or does not fit the model"


class NotFound(ServingError):
    """The request names something that does not exist."""

    status = HTTPStatus.NOT_FOUND
    outcome: ClassVar[Outcome] = "client_error"
    meaning = "No such model, version, recipe, data set or training"


class Conflict(ServingError):
    """The state of the named model, data set or job does not allow the request."""

    status = HTTPStatus.CONFLICT
    outcome: ClassVar[Outcome] = "client_error"
    meaning = "Conflict with the present state; `type` and `detail` give the reason"


class Overloaded(ServingError):
    """A limit is reached: of this client or queue (429), or of the whole process (503)."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    outcome: ClassVar[Outcome] = "rejected"
    meaning = "Too many requests are queued; try again after `Retry-After` seconds"
    headers: Mapping[str, str] = {"Retry-After": "1"}


class Unavailable(ServingError):
    """The service cannot do this now."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    meaning = "Not possible now; try again after `Retry-After` seconds"
    headers: Mapping[str, str] = {"Retry-After": "1"}


class MalformedBody(BadRequest):
    """The body does not match its content type."""

    meaning = "The body does not match its content type"


class InvalidInput(BadRequest):
    """The body can be parsed, but its values are invalid; holds at most `MAX_PROBLEMS` problems."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    meaning = "Invalid values; `errors` gives their places"

    def __init__(self, detail: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(detail)
        self.problems = problems[:MAX_PROBLEMS]


def wrong_field(field: str, problem: str, subject: str = "") -> InvalidInput:
    """Return the error for one field, header or parameter; `subject` opens the sentence instead of its name."""
    return InvalidInput(f"{subject or f'{field}:'} {problem}", (Problem(None, field, problem),))


class TooLarge(BadRequest):
    """The body exceeds a limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    meaning = "The body is too large"


class UnsupportedMediaType(BadRequest):
    """The route does not accept this content type, character set or encoding."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    meaning = "The route does not accept this content type"


class TooManyInFlight(Overloaded):
    """The limit of concurrent requests is reached."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    meaning = "Too many requests are in flight, or they hold too much memory"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} requests are being answered, and no more may; try again in a moment")
        self.limit = limit


class TooManyBytesHeld(Overloaded):
    """The memory budget for requests in progress has no room for another large one."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"requests hold as much memory as they may ({limit_bytes} bytes, TABSERVE_MAX_BYTES_HELD); try again "
            "in a moment, or send fewer rows at a time"
        )
        self.limit_bytes = limit_bytes


class TooManyStreams(Overloaded):
    """Too many clients follow trainings, or upload data sets, in this process."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"at most {limit} {what} at a time; try again in a moment")


class StoreUnavailable(Unavailable):
    """The model store or the job table cannot be written now."""


class ReceiptKeyUnavailable(Unavailable):
    """The key of the receipts cannot be read or made."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"receipts cannot be given or checked now: {reason}; predictions without them are not affected"
        )


class DeadlinePassed(Unavailable):
    """The deadline set by the client passed before its rows were computed."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    outcome = "timeout"
    meaning = "The time of `X-Request-Timeout-Ms` expired"
    headers: Mapping[str, str] = {}

    def __init__(self) -> None:
        super().__init__("the timeout of the request passed before its rows were computed; give it more time")


class ClientGone(Exception):
    """The client disconnected; not a `ServingError`, because there is no response to build."""

    outcome: ClassVar[Outcome] = "cancelled"


class ConfigurationError(Exception):
    """The service cannot start with these settings; the message names variable, value and expected form."""
