"""Request and response bodies of the training routes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field

from app.api.schemas.common import Document, without_null
from app.errors import InvalidInput, Problem
from app.jobs.records import JobStatus, TrainingJob, TrainingRequest
from app.settings import LEAST_TRAIN_MEMORY_BYTES
from modelstore import EpochMetrics, GateReport, Overrides
from modelstore.evaluation import Evaluation
from modelstore.overrides import Seed
from modelstore.reading import MAX_COLUMNS, MAX_NAME_CHARACTERS
from modelstore.records import ModelName, Record

MAX_NUMBER = (1 << 63) - 1  # largest integer that the job table can hold

Column = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS, pattern=r"^[^\x00]+$")]


class TrainRequest(Record):
    """A training request.

    Attributes:
        model: name of the model; without `dataset`, also the name of the recipe to use.
        dataset: name of the data set to train on, uploaded by `PUT /datasets/{name}`; no recipe is used then.
        target: column of the data set with the classes; required with `dataset`, and allowed only with it.
        features: columns to learn from; by default all numeric columns except the target.
        overrides: settings for this training that replace those of the recipe, or the defaults with `dataset`.
        seed: shorthand for `overrides.seed`.
        activate: whether to make the new version active: only if it is better than the active one, always, or never.
        timeout_s: seconds after which the training is ended as `timed_out`; at most the service's own limit.
        memory_bytes: memory that the training may use; at most the service's own limit.
    """

    model: ModelName
    dataset: ModelName | None = None
    target: Column | None = None
    features: Annotated[tuple[Column, ...], Field(min_length=1, max_length=MAX_COLUMNS)] | None = None
    overrides: Overrides = Overrides()
    seed: Seed | None = None
    activate: Literal["if_better", "always", "never"] = "if_better"
    timeout_s: Annotated[float, Field(gt=0, le=30 * 86400, allow_inf_nan=False)] | None = None
    memory_bytes: Annotated[int, Field(ge=LEAST_TRAIN_MEMORY_BYTES, le=MAX_NUMBER)] | None = None

    def to_training_request(self) -> TrainingRequest:
        """Return the request for the job runner, with `seed` moved into the overrides.

        Raises:
            InvalidInput: if the seed is given twice with different values.
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
    """The trainings to list; unknown parameters are refused."""

    model: Annotated[ModelName | None, Field(json_schema_extra=without_null)] = None
    status: Annotated[JobStatus | None, Field(json_schema_extra=without_null)] = None
    before: Annotated[int | None, Field(ge=1, le=MAX_NUMBER, json_schema_extra=without_null)] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class JobBrief(BaseModel):
    """One training in a list, without the fields that may be long.

    Attributes:
        number: sequence number; later trainings have higher numbers.
        dataset: data set that it trains on; None if it uses a recipe.
        data_sha256: hash of the content of the data set when the training was accepted.
        status: queued, running, or the outcome: succeeded, failed, cancelled, interrupted.
        reason: stable code of the outcome: succeeded, bad_data, diverged, timed_out, out_of_memory, disk_full,
            cancelled, interrupted, failed.
        detail: one sentence about the outcome.
        queue_position: position in the queue; 1 is next; None unless queued.
        cancel_requested: whether its cancellation was requested.
        progress: the latest epoch: losses, rows per second, seconds left.
        version_before: version that was active when the training began.
        version: version that it published.
        activated: whether the published version was made active; `gate` has the reason.
        retry_of: id of the training that this one repeats.
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
        """Return the response body of a job."""
        result = job.result or {}
        own = {name: getattr(job, name) for name in cls.model_fields if hasattr(job, name)}
        said: dict[str, object] = {"version": None, "activated": False, "gate": None, "metrics": {}, "warnings": ()}
        shown = own | {name: result.get(name, default) for name, default in said.items()}
        return cls.model_validate(shown, strict=False)


class JobInfo(JobBrief):
    """One training.

    Attributes:
        features: columns to learn from, if the request named them.
        metrics: metrics of the published version on each split.
        warnings: warnings for people, available once it has ended; only the first if there are very many.
        log: last lines that its process wrote to standard error.
    """

    features: tuple[str, ...] | None
    metrics: dict[str, Evaluation]
    warnings: tuple[str, ...]
    log: tuple[str, ...]


class JobList(BaseModel):
    """Trainings, newest first; `next` links to older trainings, if there are any."""

    jobs: list[JobBrief]
    next: str | None


def request_schema() -> Document:
    """Return the schema of a training request without references, as `#/$defs` does not resolve in OpenAPI."""
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
        "data": {"type": "string", "description": "the event as JSON, as in the training's progress file"},
        "event": {"enum": ["epoch", "notice", "result"]},
        "id": {"type": "string", "pattern": "^[0-9]+$", "description": "number of the event, from 1"},
    },
}
