"""What is sent and shown about trainings: the shapes of bodies, and nothing of how they are answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field

from app.api.schemas.common import Document, without_null
from app.errors import InvalidInput, Problem
from app.jobs.records import JobStatus, TrainingJob, TrainingRequest
from app.settings import LEAST_TRAIN_MEMORY_BYTES
from modelstore import EpochMetrics, GateReport, Overrides
from modelstore.manifest import Evaluation, ModelName, Record
from modelstore.overrides import Seed

MAX_FEATURES = 10_000
MAX_NUMBER = (1 << 63) - 1  # of a job; what the table can hold

Column = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]


class TrainRequest(Record):
    """What to train.

    Attributes:
        model: name of the model; without a data set also of the recipe to follow.
        dataset: data set to train on, sent before to `PUT /datasets/{name}`; no recipe is used then.
        target: column of the data set that holds the classes; needed with a data set, and only there.
        features: columns to learn from; without it all numeric columns but the target.
        overrides: settings that differ this once from the recipe, or with a data set from the defaults.
        seed: short for `overrides.seed`.
        activate: make the new version active only if it is better than the active one, always, or never.
        timeout_s: seconds after which the training is ended as `timed_out`; at most the service's own limit.
        memory_bytes: memory that the training may use; at most the service's own limit.
    """

    model: ModelName
    dataset: ModelName | None = None
    target: Column | None = None
    features: Annotated[tuple[Column, ...], Field(min_length=1, max_length=MAX_FEATURES)] | None = None
    overrides: Overrides = Overrides()
    seed: Seed | None = None
    activate: Literal["if_better", "always", "never"] = "if_better"
    timeout_s: Annotated[float, Field(gt=0, le=30 * 86400, allow_inf_nan=False)] | None = None
    memory_bytes: Annotated[int, Field(ge=LEAST_TRAIN_MEMORY_BYTES, le=MAX_NUMBER)] | None = None

    def wanted(self) -> TrainingRequest:
        """Return the request with the seed among the overrides.

        Raises:
            InvalidInput: if it is given twice and differs.
        """
        if self.seed is not None and self.overrides.seed not in (None, self.seed):
            problem = "is given twice and differs; say it once"
            raise InvalidInput(f"seed {problem}", (Problem(None, "seed", problem),))
        overrides = self.overrides if self.seed is None else self.overrides.model_copy(update={"seed": self.seed})
        return TrainingRequest(
            model=self.model,
            dataset=self.dataset,
            target=self.target,
            features=self.features,
            overrides=overrides,
            activate=self.activate,
            timeout_s=self.timeout_s,
            memory_bytes=self.memory_bytes,
        )


class JobsQuery(BaseModel, extra="forbid"):
    """Which trainings are listed; a misspelt parameter is refused, not passed over."""

    model: Annotated[ModelName | None, Field(json_schema_extra=without_null)] = None
    status: Annotated[JobStatus | None, Field(json_schema_extra=without_null)] = None
    before: Annotated[int | None, Field(ge=1, le=MAX_NUMBER, json_schema_extra=without_null)] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class JobBrief(BaseModel):
    """One training in a list: all but what may be long.

    Attributes:
        number: later trainings have higher ones.
        dataset: what it trains on, or None if a recipe says that.
        data_sha256: of the content that the data set had when the training was accepted.
        status: queued, running, or how it ended: succeeded, failed, cancelled, interrupted.
        reason: stable code of the end: succeeded, bad_data, diverged, timed_out, out_of_memory, disk_full, cancelled,
            interrupted, failed.
        detail: one sentence about the end.
        queue_position: 1 is next; None unless queued.
        cancel_requested: whether somebody asked for its end.
        progress: the latest epoch: losses, rows per second, seconds left.
        version_before: the version that was active when it began.
        version: the version that was published.
        activated: whether that version was made the active one; `gate` says why.
        retry_of: the training that this one repeats.
    """

    number: int
    id: str
    model: str
    dataset: str | None
    data_sha256: str | None
    target: str | None
    overrides: dict[str, object]
    activate: str
    timeout_s: float | None
    memory_bytes: int | None
    status: JobStatus
    reason: str | None
    detail: str | None
    queue_position: int | None
    cancel_requested: bool
    created: datetime
    started: datetime | None
    finished: datetime | None
    progress: EpochMetrics | None
    version_before: int | None
    version: int | None
    activated: bool
    gate: GateReport | None
    retry_of: str | None

    @classmethod
    def of(cls, job: TrainingJob) -> Self:
        """Return what is shown of a job."""
        result = job.result or {}
        own = {name: getattr(job, name) for name in cls.model_fields if hasattr(job, name)}
        said: dict[str, object] = {"version": None, "activated": False, "gate": None, "metrics": {}, "warnings": ()}
        shown = own | {name: result.get(name, default) for name, default in said.items()}
        return cls.model_validate(shown, strict=False)


class JobInfo(JobBrief):
    """One training.

    Attributes:
        features: columns to learn from, if the request named them.
        metrics: how the version that was published does on each split.
        warnings: what a person should know of it, once it has ended; of very many the first.
        log: the last lines that its process wrote to standard error.
    """

    features: tuple[str, ...] | None
    metrics: dict[str, Evaluation]
    warnings: tuple[str, ...]
    log: tuple[str, ...]


class JobList(BaseModel):
    """Trainings, newest first; `next` is where the older ones are, if there are any."""

    jobs: list[JobBrief]
    next: str | None


def request_schema() -> Document:
    """Return the schema of a training request in one piece: in the OpenAPI document, `#/$defs` leads nowhere."""
    schema = TrainRequest.model_json_schema()
    del schema["$defs"]
    schema["properties"]["overrides"] = overrides = Overrides.model_json_schema()
    for field in overrides["properties"].values():
        without_null(field)
        del field["default"]
    return schema


EXAMPLES: dict[str, Document] = {
    "iris": {"model": "iris", "overrides": {"epochs": 200}},
    "churn": {
        "model": "churn",
        "dataset": "churn",
        "target": "churned",
        "overrides": {"hidden": [64, 32], "epochs": 300},
        "seed": 1,
    },
}
EVENT: Document = {
    "type": "object",
    "description": "one server-sent event",
    "required": ["data", "event", "id"],
    "properties": {
        "data": {"type": "string", "description": "the event as JSON, as the training's own progress file has it"},
        "event": {"enum": ["epoch", "notice", "result"]},
        "id": {"type": "string", "pattern": "^[0-9]+$", "description": "its number, from 1"},
    },
}
