"""Training requests, jobs and labelled rows as values.

It must not know tables, processes or HTTP.
"""

from __future__ import annotations

import enum
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, NamedTuple, Self

from pydantic import ConfigDict, Field

from app.errors import wrong_field
from app.settings import LEAST_TRAIN_MEMORY_BYTES
from modelstore import (
    AbstainPolicy,
    Activation,
    CardStatements,
    DataOptions,
    DecisionPolicy,
    Dialect,
    LeftOut,
    Overrides,
)
from modelstore.data_options import Column
from modelstore.dialect import DETECTED
from modelstore.overrides import Seed
from modelstore.reading import MAX_COLUMNS
from modelstore.records import ModelName

MAX_NUMBER = (1 << 63) - 1  # largest integer that the job table can hold
MAX_WORKERS = 64  # of a search; each but the training itself is a row of the job table


class JobStatus(enum.StrEnum):
    """Status of a job; all but the first two are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)


class TrainingRequest(DataOptions):
    """A training request.

    Attributes:
        model: name of the model; without `dataset`, also the name of the recipe to use.
        dataset: name of the data set to train on, uploaded by `PUT /datasets/{name}`; no recipe is used then.
        target: column of the data set to predict; required with `dataset`, and allowed only with it, as are all
            options of `DataOptions`.
        features: columns to learn from; by default all except the target and those that are named in `left_out`.
        overrides: settings for this training that replace those of the recipe, or the defaults with `dataset`.
        seed: shorthand for `overrides.seed`.
        decision: how a class is chosen from the probabilities, where it is not the most probable one.
        abstain: when nothing is decided for a row.
        card: what people state about the model, for its card.
        include_feedback: whether to train also on rows that versions of this model predicted, where their inputs were
            kept and their labels came; only with `dataset`.
        activate: whether to make the new version active: only if it is better than the active one on test rows, once
            labels of live rows show that it is better, always, or never; by default what the recipe says, else
            `if_better`.
        timeout_s: seconds after which the training is ended as `timed_out`; at most the service's own limit.
        memory_bytes: memory that the training may use; at most the service's own limit.
        workers: processes that try settings of a search at once, on all hosts that share the job table: the training
            and `workers` - 1 search jobs; each of them runs where and when a trainer has nothing else to do.
    """

    model_config = ConfigDict(title="TrainRequest")

    model: ModelName
    dataset: ModelName | None = None
    target: Column | None = None
    features: Annotated[tuple[Column, ...], Field(min_length=1, max_length=MAX_COLUMNS)] | None = None
    overrides: Overrides = Overrides()
    seed: Seed | None = None
    decision: DecisionPolicy | None = None
    abstain: AbstainPolicy | None = None
    card: CardStatements | None = None
    include_feedback: bool = False
    activate: Activation | None = None
    timeout_s: Annotated[float, Field(gt=0, le=30 * 86400, allow_inf_nan=False)] | None = None
    memory_bytes: Annotated[int, Field(ge=LEAST_TRAIN_MEMORY_BYTES, le=MAX_NUMBER)] | None = None
    workers: Annotated[int, Field(ge=1, le=MAX_WORKERS)] = 1

    def with_seed_in_overrides(self) -> Self:
        """Return the request with `seed` moved into the overrides.

        Raises:
            InvalidInput: if the seed is given twice with different values.
        """
        if self.seed is None:
            return self
        if self.overrides.seed not in (None, self.seed):
            raise wrong_field("seed", "is given twice and differs; say it once")
        overrides = self.overrides.model_copy(update={"seed": self.seed})
        return self.model_copy(update={"overrides": overrides, "seed": None})

    def document(self) -> dict[str, Any]:
        """Return the request as JSON values, without model and data set, which have columns of their own."""
        kept = self.model_dump(mode="json", include={"target", "features", "activate", "timeout_s", "memory_bytes"})
        options = self.to_dict()
        given = {"decision": self.decision, "abstain": self.abstain, "card": self.card}
        documents = {name: one.model_dump(mode="json", exclude_none=True) for name, one in given.items() if one}
        said: dict[str, Any] = {name: document for name, document in documents.items() if document}
        said |= {"options": options} if options else {}
        said |= {"include_feedback": True} if self.include_feedback else {}
        said |= {"workers": self.workers} if self.workers > 1 else {}
        return kept | {"overrides": self.overrides.to_dict()} | said

    def digest(self) -> str:
        """Return a sha256 of the request; equal requests have equal digests."""
        whole = {"model": self.model, "dataset": self.dataset, **self.document()}
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """An accepted training, or a search job: one that only tries settings for a training, and publishes nothing.

    Attributes:
        number: sequence number in the table; a later job has a higher one.
        request: what was asked for.
        data_sha256: of the data set's file when the job was accepted.
        dialect: how that file is written, as it was said when it was sent.
        left_out: columns that the training will leave out, as far as the inspection of the data set tells.
        reason: machine-readable reason of the end, such as `succeeded` or `bad_data`; None until then.
        progress: the latest epoch, an `EpochMetrics` as JSON values; a `Notice` before the first, of a learner without
            epochs, and while the training gets no processor.
        result: the last event, a `JobResult` as JSON values.
        log: the last lines of the training process's standard error, oldest first.
        queue_position: 1 for the next training to run; None unless queued, and of a search job.
        version_before: the version that was active when the training began.
        retry_of: id of the job that this one repeats.
        cancel_requested: whether cancellation was requested.
        finish_requested: whether an early end was requested that keeps what has been learnt.
        request_id: id of the HTTP request that created the job.
        search_of: id of the training for which a search job tries settings; None of a training.
    """

    number: int
    id: str
    request: TrainingRequest
    data_sha256: str | None
    left_out: tuple[LeftOut, ...]
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
    finish_requested: bool
    created: datetime
    started: datetime | None
    finished: datetime | None
    request_id: str | None = None
    dialect: Dialect = DETECTED
    search_of: str | None = None

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.request.model

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.status not in UNFINISHED


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


class LabelledRow(NamedTuple):
    """What is kept of a row whose label came: no value of the row itself.

    Attributes:
        mac: of its receipt, the key.
        time_s: seconds since 1970 when the row was predicted.
        answer: index of the class that was answered, or the quantity.
        confidence: probability of that class; None for a quantity.
        label: index of the true class, or the true quantity.
    """

    mac: bytes
    model: str
    version: int
    time_s: int
    answer: float
    confidence: float | None
    label: float
