"""Training requests and jobs as values; it must not know tables, processes or HTTP."""

from __future__ import annotations

import enum
import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from modelstore import Overrides

Activation = Literal["if_better", "always", "never"]


class JobStatus(enum.StrEnum):
    """Status of a job; all but the first two are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """A request to train a model.

    Attributes:
        model: name of the model; without a data set also of the recipe.
        dataset: name of a data set; None to train with the recipe of the model's name.
        target: class column of the data set; required with a data set, and forbidden without.
        features: columns to learn from; None for all numeric columns except the target.
        activate: when to activate the new version.
        timeout_s: time limit in seconds, at most that of the service; None for that of the service.
        memory_bytes: memory limit in bytes, at most that of the service; None for that of the service.
    """

    model: str
    dataset: str | None = None
    target: str | None = None
    features: tuple[str, ...] | None = None
    overrides: Overrides = field(default_factory=Overrides)
    activate: Activation = "if_better"
    timeout_s: float | None = None
    memory_bytes: int | None = None

    def document(self) -> dict[str, Any]:
        """Return the request as JSON values, without model and data set, which have columns of their own."""
        return {
            "target": self.target,
            "features": list(self.features) if self.features is not None else None,
            "overrides": self.overrides.to_dict(),
            "activate": self.activate,
            "timeout_s": self.timeout_s,
            "memory_bytes": self.memory_bytes,
        }

    def digest(self) -> str:
        """Return a sha256 of the request; equal requests have equal digests."""
        whole = {"model": self.model, "dataset": self.dataset, **self.document()}
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """An accepted training.

    Attributes:
        number: sequence number in the table; a later job has a higher one.
        data_sha256: of the data set's content when the job was accepted.
        features: columns to learn from that the request named; None if it named none.
        columns: columns to learn from; None for all except the target.
        activate: when to activate the new version: `if_better`, `always` or `never`.
        overrides: changed recipe fields, as JSON values.
        reason: machine-readable reason of the end, such as `succeeded` or `bad_data`; None until then.
        progress: the latest epoch, an `EpochMetrics` as JSON values.
        result: the last event, a `JobResult` as JSON values.
        log: the last lines of the training process's standard error, oldest first.
        queue_position: 1 for the next job to run; None unless queued.
        version_before: the version that was active when the training began.
        retry_of: id of the job that this one repeats.
        cancel_requested: whether cancellation was requested.
        request_id: id of the HTTP request that created the job.
    """

    number: int
    id: str
    model: str
    dataset: str | None
    data_sha256: str | None
    target: str | None
    features: tuple[str, ...] | None
    columns: tuple[str, ...] | None
    activate: str
    overrides: dict[str, Any]
    timeout_s: float | None
    memory_bytes: int | None
    status: JobStatus
    reason: str | None
    detail: str | None
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    log: tuple[str, ...]
    queue_position: int | None
    version_before: int | None
    retry_of: str | None
    cancel_requested: bool
    created: datetime
    started: datetime | None
    finished: datetime | None
    request_id: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.status not in UNFINISHED

    def request(self) -> TrainingRequest:
        """Return the request that created the job."""
        return TrainingRequest(
            model=self.model,
            dataset=self.dataset,
            target=self.target,
            features=self.features,
            overrides=Overrides.model_validate(self.overrides, strict=False),
            activate=self.activate,  # type: ignore[arg-type]  # it was one of the three when it was written
            timeout_s=self.timeout_s,
            memory_bytes=self.memory_bytes,
        )


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a job, for metrics.

    Attributes:
        job: the job as it was when it began to run in this process; None if it did not.
        ran_s: seconds that it ran in this process.
    """

    reason: str
    job: TrainingJob | None = None
    ran_s: float | None = None
