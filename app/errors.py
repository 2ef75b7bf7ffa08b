"""What can go wrong while serving, as values with named fields; status codes and HTTP live in `app/api/errors.py`.

Messages say what was expected, what came and what to do, and never repeat what the client sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelstore.reading import LINE_ENDS_LOST

MAX_PROBLEMS = 10

_FORM = "application/x-www-form-urlencoded"


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

    def __init__(self, accepted: tuple[str, ...], given: str = "") -> None:
        form = f" (curl -d says that it sends a form; {LINE_ENDS_LOST})" if given == _FORM else ""
        super().__init__(f"this route takes {' or '.join(accepted)}; set the Content-Type header accordingly{form}")
        self.accepted = accepted


class UnsupportedCharset(UnsupportedContentType):
    """Text in another encoding than UTF-8; read as UTF-8 it would be wrong, or something else."""

    def __init__(self) -> None:
        ServingError.__init__(self, "text must be in UTF-8: convert it, and say charset=utf-8 or no charset at all")
        self.accepted = ("charset=utf-8",)


class TabSeparated(UnsupportedContentType):
    """A data set with tabs in place of commas."""

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
    """A request that is held in memory has more rows than it may; its answer would be many times as large."""

    def __init__(self, limit_rows: int) -> None:
        super().__init__(
            f"a request may have at most {limit_rows} rows (TABSERVE_MAX_ROWS); send them in several requests, or as "
            "CSV, NDJSON, Arrow or float32 to /predict/{model}, which are answered while they arrive"
        )
        self.limit_rows = limit_rows


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


class DeviceLost(ServingError):
    """The device that models run on failed in a way that only a new process can heal."""

    def __init__(self) -> None:
        super().__init__("the device that models run on is lost, the service starts again; try again in a moment")


class AuditUnavailable(StoreUnavailable):
    """What was asked for cannot be put on record, so it is not done."""

    def __init__(self) -> None:
        super().__init__("this cannot be put on record now, so it was not done; predictions are not affected")


class Overloaded(ServingError):
    """More rows wait than the queue may hold."""

    def __init__(self, limit_rows: int) -> None:
        super().__init__(f"too many requests wait (at most {limit_rows} rows may); try again in a moment")
        self.limit_rows = limit_rows


class TooManyInFlight(ServingError):
    """As many requests are being answered as may be."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} requests are being answered, and no more may; try again in a moment")
        self.limit = limit


class TooManyBytesHeld(ServingError):
    """Requests that are being received or answered hold so much memory that a large one finds no room."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"requests hold as much memory as they may ({limit_bytes} bytes, TABSERVE_MAX_BYTES_HELD); try again "
            "in a moment, or send fewer rows at a time"
        )
        self.limit_bytes = limit_bytes


class TooManyLoads(ServingError):
    """More versions are asked for by number than can be loaded, one after the other, in reasonable time."""

    def __init__(self) -> None:
        super().__init__("too many requests by number wait for versions to be loaded; try again in a moment")


class DeadlinePassed(ServingError):
    """The time that the client gave was over before its rows were computed."""

    def __init__(self) -> None:
        super().__init__("the timeout of the request passed before its rows were computed; give it more time")


class ClientGone(Exception):
    """The client went away, so nobody waits for the answer; no `ServingError`, because nobody is told."""


class DatasetNotFound(ServingError):
    """No data set of that name."""

    def __init__(self) -> None:
        super().__init__("there is no such data set; GET /datasets lists all, PUT /datasets/{name} adds one")


class InvalidDataset(InvalidInput):
    """A data set that cannot be read; `Problem.row` is the line in the file (the header is 1), `feature` the column."""


class DatasetInUse(ServingError):
    """A training that has not ended needs the data set."""

    def __init__(self, name: str) -> None:
        super().__init__(f"a training that has not ended needs data set {name}; wait for it or cancel it: GET /train")
        self.name = name


class DatasetTooLarge(ServingError):
    """The data set is larger than the limit."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"a data set may have at most {limit_bytes} bytes (TABSERVE_MAX_DATASET_BYTES)")
        self.limit_bytes = limit_bytes


class StorageFull(ServingError):
    """The disk has no room for what was sent."""

    def __init__(self) -> None:
        super().__init__("the disk of the data sets is full; nothing was kept, delete what you do not need")


class TooManyStreams(ServingError):
    """More clients follow trainings, or send data sets, than one process serves at a time."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"at most {limit} {what} at a time; try again in a moment")
        self.limit = limit


class VersionInUse(ServingError):
    """A version cannot be removed while it is the active or the serving one."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(f"{name} version {version} is active or serves; activate another before deleting it")
        self.name = name
        self.version = version


class NotComparable(ServingError):
    """Two versions have no test rows in common, or one was published without its test predictions."""
