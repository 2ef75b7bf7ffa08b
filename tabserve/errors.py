"""What can go wrong, each with the facts that a program needs.

Only what the service said is repeated here; this module must not know how it was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


class TabserveError(Exception):
    """Base class of all errors of this package."""


class WrongInput(TabserveError):
    """The arguments of a call cannot be sent."""


class MissingExtra(TabserveError):
    """An optional package is needed and not installed."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(f"{purpose} needs more packages: pip install {extra!r}")
        self.extra = extra


class ServiceUnreachable(TabserveError):
    """No answer came: the service does not run, refuses the connection, or takes too long."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"no answer from {url}: {reason}")
        self.url = url


class LoadingFailed(TabserveError):
    """A version was refused, because it fails its checks or needs another device."""


class TrainingFailed(TabserveError):
    """A training ended without a version.

    Attributes:
        reason: code of the outcome, such as `bad_data` or `timed_out`.
        job: the job as `GET /train/{job_id}` describes it.
    """

    def __init__(self, job: Mapping[str, Any]) -> None:
        super().__init__(f"the training of {job['model']} ended as {job['reason']}: {job['detail']}")
        self.reason: str = job["reason"] or job["status"]
        self.job = job


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a request.

    Attributes:
        row: row of a table or list from 0, line of a CSV file from 1; None if it is no matter of a row.
        feature: column or field.
        problem: what is wrong, in words.
    """

    row: int | None
    feature: str | None
    problem: str


class ServiceError(TabserveError):
    """The service refused a request, with problem details (RFC 9457).

    Attributes:
        status: HTTP status.
        kind: last part of the problem's type, such as `invalid-input`; empty if the answer was no problem details.
        detail: what is wrong, in words.
        problems: the first problems, by place.
        request_id: id of the request in the service's log.
        retry_after_s: seconds after which it is worth another try, if the service said so.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "",
        problems: tuple[Problem, ...] = (),
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{detail} (HTTP {status})")
        self.status = status
        self.kind = kind
        self.detail = detail
        self.problems = problems
        self.request_id = request_id
        self.retry_after_s = retry_after_s

    @classmethod
    def of(cls, status: int, document: object, headers: Mapping[str, str], before: int = 0) -> Self:
        """Return the error of an answer.

        Args:
            status: HTTP status.
            document: the answer's JSON, or its text if it is none.
            headers: the answer's headers.
            before: rows (lines) that earlier requests for the same table held; they are added to the places.
        """
        waiting = headers.get("retry-after", "")
        known: dict[str, Any] = {
            "request_id": headers.get("x-request-id"),
            "retry_after_s": float(waiting) if waiting.isdigit() else None,
        }
        if not isinstance(document, dict) or "detail" not in document:
            return cls(status, str(document)[:500] or "the answer is empty", **known)
        problems = tuple(
            Problem(None if each.get("row") is None else each["row"] + before, each.get("feature"), each["problem"])
            for each in document.get("errors", ())
        )
        counted = f" (counted from the {before} before that were sent already)" if before and problems else ""
        kind = str(document.get("type", "")).rpartition(":")[2]
        return cls(status, f"{document['detail']}{counted}", kind=kind, problems=problems, **known)
