"""What can go wrong while serving, as values with named fields; status codes and HTTP live in `app/api/errors.py`.

Messages say what was expected, what came and what to do, and never repeat what the client sent.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_PROBLEMS = 10


class ServingError(Exception):
    """Base of everything that a client may be told; `str(error)` is safe to send."""


class ConfigurationError(ServingError):
    """The service cannot start with these settings; names variable, value and what is wanted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in the input: where it is, and what is wrong there.

    Attributes:
        row: index of the row, from 0; None if the fault is not in a row.
        feature: name of the feature or field; None if the whole row is meant.
    """

    row: int | None
    feature: str | None
    problem: str


class MalformedBody(ServingError):
    """The body is not what its content type says."""


class InvalidInput(ServingError):
    """The body can be read, but its values do not fit; holds at most `MAX_PROBLEMS` problems."""

    def __init__(self, detail: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(detail)
        self.problems = problems[:MAX_PROBLEMS]


class UnsupportedContentType(ServingError):
    """No codec for this content type."""

    def __init__(self, accepted: tuple[str, ...]) -> None:
        super().__init__(f"this route takes {' or '.join(accepted)}; set the Content-Type header accordingly")
        self.accepted = accepted


class BodyTooLarge(ServingError):
    """The body is larger than the limit of the route."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the body may have at most {limit_bytes} bytes; send the rows in several requests")
        self.limit_bytes = limit_bytes


class ModelNotFound(ServingError):
    """No model of that name."""

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__(f"no such model; known models: {', '.join(known) or 'none yet'}; see GET /models")
        self.known = known


class VersionNotFound(ServingError):
    """The model exists, this version of it does not."""

    def __init__(self, name: str, known: tuple[int, ...]) -> None:
        listed = ", ".join(map(str, known)) or "none"
        super().__init__(f"model {name} has no such version; published: {listed}; see GET /models/{name}")
        self.name = name
        self.known = known


class ModelNotReady(ServingError):
    """The model is known, but no version of it can serve now."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"model {name} cannot serve now: {reason}; see GET /models/{name}")
        self.name = name
        self.reason = reason


class VersionRefused(ServingError):
    """A version did not prove itself on this device.

    Attributes:
        reason: stable code, such as `integrity_sha256` or `golden_mismatch`.
    """

    def __init__(self, name: str, version: int, reason: str, detail: str) -> None:
        super().__init__(f"{name} version {version} was refused ({reason}): {detail}")
        self.name = name
        self.version = version
        self.reason = reason
        self.detail = detail


class StoreUnavailable(ServingError):
    """The model store or the job table cannot be written now."""


class Overloaded(ServingError):
    """More rows wait than the queue may hold."""

    def __init__(self, limit_rows: int) -> None:
        super().__init__(f"too many requests wait (at most {limit_rows} rows may); try again in a moment")
        self.limit_rows = limit_rows


class RecipeNotFound(ServingError):
    """No recipe to train this model with."""

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__(f"no recipe for such a model; there are recipes for {', '.join(known) or 'no model'}")
        self.known = known


class JobNotFound(ServingError):
    """No training job of that id."""

    def __init__(self) -> None:
        super().__init__("no training job has this id; see GET /train")
