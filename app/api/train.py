"""Routes that start and show trainings; it must not know how a training runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from app.api.bodies import read_json
from app.api.schemas import Document, json_body, problems
from app.errors import InvalidInput, Problem
from app.jobs import JobRunner
from app.jobstore import JobStatus, TrainingJob
from modelstore import EpochMetrics, GateReport, Overrides
from modelstore.manifest import Evaluation, ModelName, Record
from modelstore.overrides import Seed


class TrainRequest(Record):
    """What to train.

    Attributes:
        model: the recipe to follow, which is also the model's name.
        overrides: recipe fields that differ this once.
        seed: short for `overrides.seed`.
        activate: make the new version active only if it is better than the active one, always, or never.
    """

    model: ModelName
    overrides: Overrides = Overrides()
    seed: Seed | None = None
    activate: Literal["if_better", "always", "never"] = "if_better"

    def merged(self) -> Overrides:
        """Return the overrides with the seed among them.

        Raises:
            InvalidInput: if the seed is given twice and differs.
        """
        if self.seed is None or self.overrides.seed in (None, self.seed):
            return self.overrides.model_copy(update={"seed": self.seed} if self.seed is not None else {})
        problem = "is given twice and differs; say it once"
        raise InvalidInput(f"seed {problem}", (Problem(None, "seed", problem),))


class JobInfo(BaseModel):
    """One training.

    Attributes:
        status: queued, running, succeeded, failed or interrupted; the last three are final.
        reason: stable code of the end: succeeded, bad_data, diverged, disk_full, failed, interrupted ...
        detail: one sentence about the end.
        progress: the latest epoch.
        version: the version that was published.
        activated: whether that version was made the active one; `gate` says why.
    """

    id: str
    model: str
    status: JobStatus
    reason: str | None
    detail: str | None
    activate: str
    overrides: dict[str, object]
    created: datetime
    started: datetime | None
    finished: datetime | None
    progress: EpochMetrics | None
    version: int | None
    activated: bool
    gate: GateReport | None
    metrics: dict[str, Evaluation]

    @classmethod
    def of(cls, job: TrainingJob) -> Self:
        """Return what is shown of a job."""
        result = job.result or {}
        return cls.model_validate(
            {
                **{name: getattr(job, name) for name in cls.model_fields if hasattr(job, name)},
                "version": result.get("version"),
                "activated": result.get("activated", False),
                "gate": result.get("gate"),
                "metrics": result.get("metrics", {}),
            },
            strict=False,
        )


class JobList(BaseModel):
    """Trainings, newest first."""

    jobs: list[JobInfo]


def _request_schema() -> Document:
    """Return the schema of a training request in one piece: in the OpenAPI document, `#/$defs` leads nowhere."""
    schema = TrainRequest.model_json_schema()
    del schema["$defs"]
    schema["properties"]["overrides"] = Overrides.model_json_schema()
    return schema


def router(runner: JobRunner) -> APIRouter:
    """Return the routes about trainings."""
    routes = APIRouter(tags=["train"])

    @routes.post(
        "/train",
        status_code=202,
        openapi_extra=json_body(_request_schema(), iris={"model": "iris", "overrides": {"epochs": 200}}),
        responses=problems(400, 404, 413, 415, 422, 503),
    )
    async def start(request: Request, response: Response) -> JobInfo:
        """Train a model in a process of its own; its progress is at the `Location` that is returned."""
        wanted = await read_json(request, TrainRequest)
        job = await runner.start(wanted.model, wanted.merged(), wanted.activate)
        response.headers["Location"] = f"/train/{job.id}"
        return JobInfo.of(job)

    @routes.get("/train/{job_id}", responses=problems(404, 422, 503))
    async def show(job_id: str) -> JobInfo:
        """Show one training."""
        return JobInfo.of(await runner.get(job_id))

    @routes.get("/train", responses=problems(422, 503))
    async def list_jobs(limit: Annotated[int, Query(ge=1, le=500)] = 50) -> JobList:
        """List the newest trainings."""
        return JobList(jobs=[JobInfo.of(job) for job in await runner.latest(limit)])

    return routes
