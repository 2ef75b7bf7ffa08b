"""Exceptions of the service that a client may see.

They carry named fields and no status codes, which `app/api/errors.py` assigns. A message says what was expected, what
was received and what to do; it never repeats input of the client.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelstore.reading import LINE_ENDS_LOST

MAX_PROBLEMS = 10

_FORM = "application/x-www-form-urlencoded"


class ServingError(Exception):
    """Base class of all errors that are reported to clients; `str(error)` is safe to send."""


class ConfigurationError(ServingError):
    """The service cannot start with these settings; the message names variable, value and expected form."""


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


class MalformedBody(ServingError):
    """The body does not match its content type."""


class InvalidInput(ServingError):
    """The body can be parsed, but its values are invalid; holds at most `MAX_PROBLEMS` problems."""

    def __init__(self, detail: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(detail)
        self.problems = problems[:MAX_PROBLEMS]


class UnsupportedContentType(ServingError):
    """There is no codec for this content type."""

    def __init__(self, accepted: tuple[str, ...], given: str = "") -> None:
        form = f" (curl -d says that it sends a form; {LINE_ENDS_LOST})" if given == _FORM else ""
        super().__init__(f"this route takes {' or '.join(accepted)}; set the Content-Type header accordingly{form}")
        self.accepted = accepted


class UnsupportedCharset(UnsupportedContentType):
    """The text is declared in an encoding other than UTF-8; decoding it as UTF-8 would fail or corrupt it."""

    def __init__(self) -> None:
        ServingError.__init__(self, "text must be in UTF-8: convert it, and say charset=utf-8 or no charset at all")
        self.accepted = ("charset=utf-8",)


class TabSeparated(UnsupportedContentType):
    """The data set is separated by tabs instead of commas."""

    def __init__(self) -> None:
        detail = "data sets with tabs are not taken, POST /predict/{model} takes rows with tabs; convert it to text/csv"
        ServingError.__init__(self, detail)
        self.accepted = ("text/csv",)


class BodyTooLarge(ServingError):
    """The body is larger than the limit of the route."""

    def __init__(self, limit_bytes: int, advice: str = "send the rows in several requests") -> None:
        super().__init__(f"the body may have at most {limit_bytes} bytes; {advice}")
        self.limit_bytes = limit_bytes


class TooManyRows(ServingError):
    """A request that is held in memory exceeds the row limit; its response would be many times as large."""

    def __init__(self, limit_rows: int) -> None:
        super().__init__(
            f"a request may have at most {limit_rows} rows (TABSERVE_MAX_ROWS); send them in several requests, or as "
            "CSV, NDJSON, Arrow or float32 to /predict/{model}, which are answered while they arrive"
        )
        self.limit_rows = limit_rows


class ModelNotFound(ServingError):
    """There is no model of that name."""

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__(f"no such model; known models: {', '.join(known) or 'none yet'}; see GET /models")
        self.known = known


class VersionNotFound(ServingError):
    """The model exists, but not this version of it."""

    def __init__(self, name: str, known: tuple[int, ...]) -> None:
        listed = ", ".join(map(str, known)) or "none"
        super().__init__(f"model {name} has no such version; published: {listed}; see GET /models/{name}")
        self.name = name
        self.known = known


class ModelNotReady(ServingError):
    """The model exists, but none of its versions can serve now."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"model {name} cannot serve now: {reason}; see GET /models/{name}")
        self.name = name
        self.reason = reason


class VersionRefused(ServingError):
    """A version failed verification on this device.

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


class DeviceLost(ServingError):
    """The device that models run on failed, and only a restart of the process can recover it."""

    def __init__(self) -> None:
        super().__init__("the device that models run on is lost, the service starts again; try again in a moment")


class AuditUnavailable(StoreUnavailable):
    """The request cannot be recorded in the audit file, so it is not carried out."""

    def __init__(self) -> None:
        super().__init__("this cannot be put on record now, so it was not done; predictions are not affected")


class Overloaded(ServingError):
    """The queue of the model holds as many rows as it may."""

    def __init__(self, limit_rows: int) -> None:
        super().__init__(f"too many requests wait (at most {limit_rows} rows may); try again in a moment")
        self.limit_rows = limit_rows


class TooManyInFlight(ServingError):
    """The limit of concurrent requests is reached."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} requests are being answered, and no more may; try again in a moment")
        self.limit = limit


class TooManyBytesHeld(ServingError):
    """The memory budget for requests in progress has no room for another large one."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"requests hold as much memory as they may ({limit_bytes} bytes, TABSERVE_MAX_BYTES_HELD); try again "
            "in a moment, or send fewer rows at a time"
        )
        self.limit_bytes = limit_bytes


class TooManyLoads(ServingError):
    """Too many requests by number wait for versions to be loaded, which happens one at a time."""

    def __init__(self) -> None:
        super().__init__("too many requests by number wait for versions to be loaded; try again in a moment")


class DeadlinePassed(ServingError):
    """The deadline set by the client passed before its rows were computed."""

    def __init__(self) -> None:
        super().__init__("the timeout of the request passed before its rows were computed; give it more time")


class ClientGone(Exception):
    """The client disconnected; not a `ServingError`, because there is no response to build."""


class DatasetNotFound(ServingError):
    """There is no data set of that name."""

    def __init__(self) -> None:
        super().__init__("there is no such data set; GET /datasets lists all, PUT /datasets/{name} adds one")


class InvalidDataset(InvalidInput):
    """The data set cannot be used.

    `Problem.row` is the line in the file (the header is line 1), `Problem.feature` the column.
    """


class DatasetInUse(ServingError):
    """An unfinished training needs the data set."""

    def __init__(self, name: str) -> None:
        super().__init__(f"a training that has not ended needs data set {name}; wait for it or cancel it: GET /train")
        self.name = name


class DatasetTooLarge(ServingError):
    """The data set exceeds the size limit."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"a data set may have at most {limit_bytes} bytes (TABSERVE_MAX_DATASET_BYTES)")
        self.limit_bytes = limit_bytes


class StorageFull(ServingError):
    """The disk has no room for the data set."""

    def __init__(self) -> None:
        super().__init__("the disk of the data sets is full; nothing was kept, delete what you do not need")


class TooManyStreams(ServingError):
    """Too many clients follow trainings, or upload data sets, on one process at a time."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"at most {limit} {what} at a time; try again in a moment")
        self.limit = limit


class VersionInUse(ServingError):
    """An active or serving version cannot be removed."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(f"{name} version {version} is active or serves; activate another before deleting it")
        self.name = name
        self.version = version


class NotComparable(ServingError):
    """The two versions have no test rows in common, or one was published without its test predictions."""
