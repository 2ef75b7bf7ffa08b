"""Request and response bodies of the training routes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field

from app.api.schemas.common import Document, without_null
from app.jobs.records import MAX_NUMBER, JobStatus, TrainingJob, TrainingRequest
from modelstore import (
    AbstainPolicy,
    CardStatements,
    ColumnType,
    DecisionPolicy,
    Dialect,
    EpochMetrics,
    GateReport,
    LeaderBoard,
    LeftOut,
    Notice,
    Overrides,
    Task,
)
from modelstore.data_options import RareClasses, Split
from modelstore.evaluation import AnyEvaluation
from modelstore.records import ModelName


class JobsQuery(BaseModel, extra="forbid"):
    """The trainings to list; unknown parameters are refused."""

    model: Annotated[ModelName | None, Field(json_schema_extra=without_null)] = None
    status: Annotated[JobStatus | None, Field(json_schema_extra=without_null)] = None
    before: Annotated[int | None, Field(ge=1, le=MAX_NUMBER, json_schema_extra=without_null)] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class CancelQuery(BaseModel, extra="forbid"):
    """How to end a training; unknown parameters are refused.

    Attributes:
        keep: whether a running one is to publish what it has learnt by then.
    """

    keep: bool = False


class JobBrief(BaseModel):
    """One training or search job in a list, without the fields that may be long.

    Attributes:
        number: sequence number; later trainings have higher numbers.
        dataset: data set that it trains on; None if it uses a recipe.
        data_sha256: hash of the content of the data set when the training was accepted.
        activate: when its version becomes active; null: as the recipe says, else `if_better`.
        status: queued, running, or the outcome: succeeded, failed, cancelled, interrupted.
        reason: stable code of the outcome: succeeded, bad_data, diverged, timed_out, out_of_memory, disk_full,
            cancelled, interrupted, failed.
        detail: one sentence about the outcome.
        queue_position: position in the queue; 1 is next; None unless queued, and of a search job.
        cancel_requested: whether its cancellation was requested.
        finish_requested: whether an early end was requested that keeps what has been learnt.
        progress: the latest epoch: losses, rows per second, seconds left; a notice before the first,
            of a learner without epochs, and while it gets no processor.
        version_before: version that was active when the training began.
        version: version that it published.
        activated: whether the published version was made active; `gate` has the reason.
        retry_of: id of the training that this one repeats.
        search_of: id of the training for which this search job tries settings; None of a training.
        workers: processes that try settings at once, if it is a search: the training and its search jobs.
    """

    number: int
    id: str
    model: str
    dataset: str | None
    data_sha256: str | None
    target: str | None
    overrides: dict[str, object]
    activate: str | None
    timeout_s: float | None
    memory_bytes: int | None
    status: JobStatus
    reason: str | None
    detail: str | None
    queue_position: int | None
    cancel_requested: bool
    finish_requested: bool
    created: datetime
    started: datetime | None
    finished: datetime | None
    progress: Annotated[EpochMetrics | Notice, Field(discriminator="event")] | None
    version_before: int | None
    version: int | None
    activated: bool
    gate: GateReport | None
    retry_of: str | None
    search_of: str | None
    workers: int

    @classmethod
    def of(cls, job: TrainingJob) -> Self:
        """Return the response body of a job."""
        result = job.result or {}
        own = dict(job.request) | {"overrides": job.request.overrides.to_dict()}
        own |= {name: getattr(job, name) for name in cls.model_fields if hasattr(job, name)}
        defaults: dict[str, object] = {"version": None, "activated": False, "gate": None, "leaders": None}
        defaults |= {"metrics": {}, "warnings": ()}
        shown = own | {name: result.get(name, default) for name, default in defaults.items()}
        return cls.model_validate(shown, strict=False)


class JobInfo(JobBrief):
    """One training.

    Attributes:
        features: columns to learn from, if the request named them.
        types: types of columns that the request set; `task`, `split`, `rare_classes`, `missing_values`, `optional`,
            `strict` and `receipts` likewise.
        dialect: how the data set's file is written, as far as that was said when it was sent; null is detected.
        left_out: columns that the training leaves out, each with the reason; known when it is accepted.
        metrics: metrics of the published version on each split.
        leaders: the published version beside its members and baselines on the same test rows.
        warnings: warnings for people, available once it has ended; only the first if there are very many.
        decision: how a class is chosen, if the request said it.
        abstain: when nothing is decided, if the request said it.
        card: what the request stated about the model.
        include_feedback: whether rows of feedback are trained on, too.
        log: last lines that its process wrote to standard error.
    """

    features: tuple[str, ...] | None
    types: dict[str, ColumnType]
    task: Task | None
    split: Split | None
    rare_classes: RareClasses
    missing_values: tuple[str, ...] | None
    optional: tuple[str, ...]
    strict: bool
    receipts: bool
    dialect: Dialect
    left_out: tuple[LeftOut, ...]
    metrics: dict[str, AnyEvaluation]
    leaders: LeaderBoard | None
    warnings: tuple[str, ...]
    decision: DecisionPolicy | None
    abstain: AbstainPolicy | None
    card: CardStatements | None
    include_feedback: bool
    log: tuple[str, ...]


class JobList(BaseModel):
    """Trainings, newest first; `next` links to older trainings, if there are any."""

    jobs: list[JobBrief]
    next: str | None


def _request_schema() -> Document:
    """Return the schema of a training request without references, as `#/$defs` does not resolve in OpenAPI."""
    schema = TrainingRequest.model_json_schema()
    records = schema.pop("$defs")
    policies = (("decision", "DecisionPolicy"), ("abstain", "AbstainPolicy"))
    for field, record in (("split", "Split"), *policies, ("card", "CardStatements")):
        schema["properties"][field] = {"anyOf": [records[record], {"type": "null"}], "default": None}
    types = schema["properties"]["types"]  # the names are restricted, too, where `patternProperties` lets others pass
    [(types["propertyNames"]["pattern"], types["additionalProperties"])] = types.pop("patternProperties").items()
    schema["properties"]["overrides"] = overrides = Overrides.model_json_schema()
    nested = overrides.pop("$defs")
    for field in overrides["properties"].values():
        without_null(field)
        del field["default"]
    overrides["properties"] |= {
        name: nested[record]
        for name, record in (("image", "Image"), ("realmlp", "RealMLPSettings"), ("trees", "TreesSettings"))
    }
    return schema


REQUEST: Document = _request_schema()
EXAMPLES: dict[str, Document] = {
    "iris": {"model": "iris", "overrides": {"epochs": 200}},
    "churn": {
        "model": "churn",
        "dataset": "churn",
        "target": "churned",
        "types": {"postcode": "categorical"},
        "overrides": {"hidden": [64, 32], "epochs": 300},
        "seed": 1,
    },
}
EVENT: Document = {
    "type": "object",
    "description": "one server-sent event",
    "required": ["data", "event", "id"],
    "properties": {
        "data": {"type": "string", "description": "the event as JSON, as in the training's progress file"},
        "event": {"enum": ["epoch", "notice", "result"]},
        "id": {"type": "string", "pattern": "^[0-9]+$", "description": "number of the event, from 1"},
    },
}
