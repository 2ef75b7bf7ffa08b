"""Routes that start, show, follow and end trainings; it must not know how a training runs."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import Annotated, Literal, Self
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from app.api.bodies import read_json
from app.api.events import EventStream, EventStreams, close
from app.api.preferences import idempotency_key, last_event_id, preferred_wait_s
from app.api.schemas import Document, header, json_body, problems
from app.errors import InvalidInput, JobNotFound, Problem
from app.jobs.records import UNFINISHED, JobStatus, TrainingJob, TrainingRequest
from app.jobs.runner import JobRunner
from app.settings import LEAST_TRAIN_MEMORY_BYTES
from modelstore import EpochMetrics, GateReport, Overrides
from modelstore.manifest import Evaluation, ModelName, Record
from modelstore.overrides import Seed

MAX_FEATURES = 10_000
MAX_NUMBER = (1 << 63) - 1  # of a job; what the table can hold

Column = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]

_JOB_ID = re.compile(r"[0-9a-z]{1,64}")
_PREFER = header("Prefer", "`wait=30`: answer 200 with the result if the training ends in time (at most 60 seconds)")
_IDEMPOTENCY = header("Idempotency-Key", "1 to 255 visible ASCII characters; the same request again is the same job")
_LAST_EVENT = header("Last-Event-ID", "number of the last event that was seen; the stream goes on after it")


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
        said: dict[str, object] = {"version": None, "activated": False, "gate": None, "metrics": {}}
        shown = own | {name: result.get(name, default) for name, default in said.items()}
        return cls.model_validate(shown, strict=False)


class JobInfo(JobBrief):
    """One training.

    Attributes:
        features: columns to learn from, if the request named them.
        metrics: how the version that was published does on each split.
        log: the last lines that its process wrote to standard error.
    """

    features: tuple[str, ...] | None
    metrics: dict[str, Evaluation]
    log: tuple[str, ...]


class JobList(BaseModel):
    """Trainings, newest first; `next` is where the older ones are, if there are any."""

    jobs: list[JobBrief]
    next: str | None


def router(runner: JobRunner, stopping: asyncio.Event) -> APIRouter:
    """Return the routes about trainings; who waits or follows is sent away when `stopping` is set."""
    routes = APIRouter(tags=["train"])
    streams = EventStreams(stopping)
    accepted: dict[int | str, Document] = {
        200: {"description": "It ended within the time of `Prefer: wait`", "model": JobInfo},
    }

    async def answer(job: TrainingJob, request: Request, response: Response) -> JobInfo:
        """Answer with a job that was accepted, or with its result if the client would wait for it."""
        response.headers["Location"] = f"/train/{job.id}"
        if wait_s := preferred_wait_s(request):
            job = await _wait(runner, job, wait_s, stopping)
            if job.status not in UNFINISHED:
                response.status_code = 200
                response.headers["Preference-Applied"] = f"wait={wait_s}"
        return JobInfo.of(job)

    @routes.post(
        "/train",
        status_code=202,
        openapi_extra={**json_body(_request_schema(), **_EXAMPLES), "parameters": [_PREFER, _IDEMPOTENCY]},
        responses={**accepted, **problems(400, 404, 409, 413, 415, 422, 429, 503)},
    )
    async def start(request: Request, response: Response) -> JobInfo:
        """Train a model in a process of its own; its progress is at the `Location` that is returned.

        One training of a model at a time, others are answered 409; trainings of several models queue in their order.
        """
        key = idempotency_key(request)
        wanted = (await read_json(request, TrainRequest)).wanted()
        return await answer(await runner.start(wanted, key), request, response)

    @routes.get("/train", response_model=JobList, responses=problems(422, 503))
    async def list_jobs(
        model: ModelName | None = None,
        status: JobStatus | None = None,
        before: Annotated[int | None, Query(ge=1, le=MAX_NUMBER)] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> Response:
        """List trainings, newest first; of one model, or in one status; `next` leads to the older ones."""
        jobs, older = await runner.list(model=model, status=status, before=before, limit=limit)
        query = {"model": model, "status": status, "limit": limit, "before": older}
        following = "/train?" + urlencode({name: value for name, value in query.items() if value is not None})
        return await asyncio.to_thread(_listed, jobs, following if older is not None else None)

    @routes.get("/train/{job_id}", responses=problems(404, 422, 503))
    async def show(job_id: str) -> JobInfo:
        """Show one training: place in the queue, progress, end, gate report, the last lines of its log."""
        return JobInfo.of(await runner.get(_checked(job_id)))

    @routes.get(
        "/train/{job_id}/events",
        status_code=200,
        response_class=EventStream,
        openapi_extra={"parameters": [_LAST_EVENT]},
        responses={
            200: {"description": "Events: `epoch`, `notice`, and at the end `result`; `id` counts them"},
            204: {"description": "It ended, and nothing came after `Last-Event-ID`"},
            **problems(404, 422, 503),
        },
    )
    async def events(job_id: str, request: Request) -> Response:
        """Follow one training by server-sent events, from the beginning or from where the client was interrupted."""
        job = await runner.get(_checked(job_id))
        coming = runner.events(job_id, last_event_id(request))
        first = None
        if job.status not in UNFINISHED:
            first = await anext(coming, None)
            if first is None:  # a browser comes again after every end, until it is told this
                return Response(status_code=204)
        try:
            return streams.respond(first, coming)
        except BaseException:
            await close(coming)
            raise

    @routes.delete(
        "/train/{job_id}",
        status_code=202,
        responses={
            200: {"description": "It was waiting, and will not run", "model": JobInfo},
            **problems(404, 409, 422, 503),
        },
    )
    async def cancel(job_id: str, response: Response) -> JobInfo:
        """End a training: its process is gone within 2 seconds, and nothing is published; 409 if it has ended."""
        job = await runner.cancel(_checked(job_id))
        if job.status not in UNFINISHED:
            response.status_code = 200
        return JobInfo.of(job)

    @routes.post(
        "/train/{job_id}/retry",
        status_code=202,
        openapi_extra={"parameters": [_PREFER]},
        responses={**accepted, **problems(404, 409, 422, 429, 503)},
    )
    async def retry(job_id: str, request: Request, response: Response) -> JobInfo:
        """Train once more what a training that has ended was asked for, on the data set as it is now."""
        return await answer(await runner.retry(_checked(job_id)), request, response)

    return routes


async def _wait(runner: JobRunner, job: TrainingJob, seconds: float, stopping: asyncio.Event) -> TrainingJob:
    """Return the job when it has ended, or after so many seconds, or when the service stops."""
    waiting = asyncio.create_task(runner.wait(job.id, seconds))
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((waiting, stop), return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else job
    finally:
        waiting.cancel()
        stop.cancel()


def _listed(jobs: list[TrainingJob], following: str | None) -> Response:
    """Return the list as an answer; hundreds of jobs take a while to write, so call it from a thread."""
    listed = JobList(jobs=[JobBrief.of(job) for job in jobs], next=following)
    return Response(listed.model_dump_json(), media_type="application/json")


def _checked(job_id: str) -> str:
    """Return the id if it could be one; others never reach the table.

    Raises:
        JobNotFound.
    """
    if not _JOB_ID.fullmatch(job_id):
        raise JobNotFound
    return job_id


def _request_schema() -> Document:
    """Return the schema of a training request in one piece: in the OpenAPI document, `#/$defs` leads nowhere."""
    schema = TrainRequest.model_json_schema()
    del schema["$defs"]
    schema["properties"]["overrides"] = Overrides.model_json_schema()
    return schema


_EXAMPLES: dict[str, Document] = {
    "iris": {"model": "iris", "overrides": {"epochs": 200}},
    "churn": {
        "model": "churn",
        "dataset": "churn",
        "target": "churned",
        "overrides": {"hidden": [64, 32], "epochs": 300},
        "seed": 1,
    },
}
