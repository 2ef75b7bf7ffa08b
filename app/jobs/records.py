"""What is known of a training job, as values; it must not know tables, processes or HTTP."""

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
    """Where a job is; all but the first two are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What somebody wants to be trained.

    Attributes:
        model: name of the model; without a data set also of the recipe.
        dataset: name of a data set; None trains from the recipe of the model's name.
        target: class column of the data set; needed with a data set, and only there.
        features: columns to learn from; None takes all numeric columns but the target.
        activate: what to do with the new version.
        timeout_s: seconds that it may run, at most the service's own limit; None is that limit.
        memory_bytes: memory that it may use, at most the service's own limit; None is that limit.
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
        """Return the request as JSON values, without the two names that have columns of their own."""
        return {
            "target": self.target,
            "features": list(self.features) if self.features is not None else None,
            "overrides": self.overrides.given(),
            "activate": self.activate,
            "timeout_s": self.timeout_s,
            "memory_bytes": self.memory_bytes,
        }

    def digest(self) -> str:
        """Return a sha256 that two equal requests share."""
        whole = {"model": self.model, "dataset": self.dataset, **self.document()}
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """One training, from its acceptance on.

    Attributes:
        number: counts all jobs of the table; a later job has a higher one.
        data_sha256: of the data set's contents when the job was accepted.
        features: columns to learn from that the request named; None if it named none.
        columns: columns to learn from; None is every one but the target.
        activate: what to do with the new version: `if_better`, `always` or `never`.
        overrides: recipe fields that differ, as JSON values.
        reason: machine-readable end, such as `succeeded` or `bad_data`; None until then.
        progress: the latest epoch, an `EpochMetrics` as JSON values.
        result: the last word, a `JobResult` as JSON values.
        log: the last lines of the training process's standard error, oldest first.
        queue_position: 1 is next; None unless queued.
        version_before: the version that was active when the training began.
        retry_of: id of the job that this one repeats.
        cancel_requested: whether somebody asked for its end.
        request_id: of the request that asked for it.
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
        """Whether the job has reached its end."""
        return self.status not in UNFINISHED

    def request(self) -> TrainingRequest:
        """Return what was asked for."""
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
    """The end of a job, for those who count.

    Attributes:
        job: as it was when it began to run here; None if it did not.
        ran_s: how long it ran here.
    """

    reason: str
    job: TrainingJob | None = None
    ran_s: float | None = None
