"""Routes to start, show, follow, cancel and retry trainings.

This module must not know how a training runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request, Response

from app.api.bodies import read_json
from app.api.parameters import JobPath
from app.api.preferences import read_idempotency_key, read_last_event_id, read_preferred_wait_s
from app.api.prefix import link
from app.api.routes.events import EventStream, EventStreams, close
from app.api.routing import TableRouter
from app.api.schemas.common import Document, header, json_body, links, problems
from app.api.schemas.train import EVENT, EXAMPLES, REQUEST, CancelQuery, JobBrief, JobInfo, JobList, JobsQuery
from app.context import waiting
from app.errors import ServingError, StoreUnavailable
from app.jobs.errors import JobNotFound
from app.jobs.records import UNFINISHED, TrainingJob, TrainingRequest
from app.jobs.runner import JobRunner
from app.security.permissions import Routes

MAX_WAITS = 64  # clients that may wait for a result in one process

_JOB_ID = re.compile(r"[0-9a-z]{1,64}")
_PREFER = header("Prefer", "`wait=30`: answer 200 with the result if the training ends in time (at most 60 seconds)")
_IDEMPOTENCY = header(
    "Idempotency-Key",
    "1 to 255 visible ASCII characters; the same request with the same key returns the same job",
    r"^[!-~]{1,255}$",
)
_LAST_EVENT = header("Last-Event-ID", "number of the last event received; the stream continues after it")

_NEXT = links(
    "job_id",
    "$response.body#/id",
    show="show_train__job_id__get",
    follow="events_train__job_id__events_get",
    cancel="cancel_train__job_id__delete",
    retry="retry_train__job_id__retry_post",
)
_ACCEPTED: dict[int | str, Document] = {
    200: {"description": "The training ended within the time of `Prefer: wait`", "model": JobInfo, "links": _NEXT},
    202: {"description": "Accepted; the training is queued or running", "links": _NEXT},
}
_NEVER_RAN: dict[int | str, Document] = {
    200: {"description": "The training was queued and will not run", "model": JobInfo}
}
_EVENTS: dict[int | str, Document] = {
    200: {
        "description": "Events `epoch` and `notice`, then a final `result`; `id` counts them",
        "content": {"text/event-stream": {"itemSchema": EVENT}},
    },
    204: {"description": "The training has ended, without events after `Last-Event-ID`"},
}


class TrainRoutes:
    """Route handlers, one method each; their docstrings appear in the OpenAPI document."""

    def __init__(self, runner: JobRunner, stopping: asyncio.Event) -> None:
        self._runner = runner
        self._stopping = stopping
        self._streams = EventStreams(stopping)
        self._waits = 0

    async def start(self, request: Request, response: Response) -> JobInfo:
        """Train a model in a separate process; the `Location` header leads to its progress.

        Only one training per model at a time; another is answered 409. Trainings of several models are queued in order.
        """
        key = read_idempotency_key(request)
        training = (await read_json(request, TrainingRequest)).with_seed_in_overrides()
        return await self._respond_with_job(await self._runner.start(training, key), request, response)

    async def list_jobs(self, request: Request, query: Annotated[JobsQuery, Query()]) -> Response:
        """List trainings, newest first, optionally of one model or status; `next` links to older ones."""
        jobs, older = await self._runner.list(**query.model_dump())
        older_query = urlencode(query.model_copy(update={"before": older}).model_dump(exclude_none=True))
        following = link(request, f"{Routes.LIST_JOBS.template}?{older_query}") if older is not None else None
        return await asyncio.to_thread(_write_list, jobs, following)

    async def show(self, job_id: JobPath) -> JobInfo:
        """Show one training: queue position, progress, outcome, gate report, the last lines of its log."""
        return JobInfo.of(await self._runner.get(_check_job_id(job_id)))

    async def events(self, job_id: JobPath, request: Request) -> Response:
        """Follow a training by server-sent events, from the beginning or from the last event that the client saw."""
        job = await self._runner.get(_check_job_id(job_id))
        coming = self._runner.events(job_id, read_last_event_id(request))
        first = None
        if job.status not in UNFINISHED:
            first = await anext(coming, None)
            if first is None:  # a browser reconnects after every end, until it gets this status
                return Response(status_code=204)
        try:
            return self._streams.respond(first, coming)
        except BaseException:
            await close(coming)
            raise

    async def cancel(self, job_id: JobPath, query: Annotated[CancelQuery, Query()], response: Response) -> JobInfo:
        """Cancel a training: its process ends within 2 seconds, and nothing is published; 409 if it has ended.

        With `keep=true`, a running one ends early, publishes what it has learnt by then, and succeeds.
        """
        job = await self._runner.cancel(_check_job_id(job_id), keep=query.keep)
        if job.status not in UNFINISHED:
            response.status_code = 200
        return JobInfo.of(job)

    async def retry(self, job_id: JobPath, request: Request, response: Response) -> JobInfo:
        """Repeat a finished training with the same request, on the current content of the data set."""
        return await self._respond_with_job(await self._runner.retry(_check_job_id(job_id)), request, response)

    async def _respond_with_job(self, job: TrainingJob, request: Request, response: Response) -> JobInfo:
        """Return an accepted job, or its result if the client wants to wait and fewer than `MAX_WAITS` others do."""
        response.headers["Location"] = link(request, Routes.SHOW_JOB.path(job_id=job.id))
        wait_s = read_preferred_wait_s(request)
        if wait_s and self._waits < MAX_WAITS:
            job = await self._wait(job, wait_s, request)
            if job.status not in UNFINISHED:
                response.status_code = 200
                response.headers["Preference-Applied"] = f"wait={wait_s}"
        return JobInfo.of(job)

    async def _wait(self, job: TrainingJob, seconds: float, request: Request) -> TrainingJob:
        """Wait until the job ends, the time is over, the client disconnects or the service stops; return the job.

        If the job table cannot be read meanwhile, the job is returned as it was: it is accepted all the same.
        """
        self._waits += 1
        end = asyncio.create_task(self._runner.wait(job.id, seconds))
        others = [asyncio.create_task(self._stopping.wait()), asyncio.create_task(_wait_for_disconnect(request))]
        try:
            with waiting():
                await asyncio.wait((end, *others), return_when=asyncio.FIRST_COMPLETED)
            return end.result() if end.done() else job
        except StoreUnavailable:
            return job
        finally:
            self._waits -= 1
            for task in (end, *others):
                task.cancel()
            await asyncio.gather(end, *others, return_exceptions=True)


def router(runner: JobRunner, stopping: asyncio.Event) -> TableRouter:
    """Create the training routes; waiting requests and event streams end when `stopping` is set."""
    routes, answer = TableRouter(tags=["train"]), TrainRoutes(runner, stopping)
    documented: Document = {**json_body(REQUEST, **EXAMPLES), "parameters": [_PREFER, _IDEMPOTENCY]}
    accepted = _ACCEPTED | problems(400, 404, 409, 413, 415, 422, 429, 503)
    routes.add(Routes.START_JOB, status_code=202, openapi_extra=documented, responses=accepted)(answer.start)
    routes.add(Routes.LIST_JOBS, response_model=JobList, responses=problems(422, 503))(answer.list_jobs)
    routes.add(Routes.SHOW_JOB, responses=problems(404, 422, 503))(answer.show)
    routes.add(
        Routes.JOB_EVENTS,
        status_code=200,
        response_class=EventStream,
        openapi_extra={"parameters": [_LAST_EVENT]},
        responses=_EVENTS | problems(404, 422, 503),
    )(answer.events)
    routes.add(Routes.CANCEL_JOB, status_code=202, responses=_NEVER_RAN | problems(404, 409, 422, 503))(answer.cancel)
    routes.add(
        Routes.RETRY_JOB,
        status_code=202,
        openapi_extra={"parameters": [_PREFER]},
        responses=_ACCEPTED | problems(404, 409, 422, 429, 503),
    )(answer.retry)
    return routes


def _write_list(jobs: list[TrainingJob], following: str | None) -> Response:
    """Return the list as a response; serializing hundreds of jobs is slow, so call it from a thread."""
    listed = JobList(jobs=[JobBrief.of(job) for job in jobs], next=following)
    return Response(listed.model_dump_json(), media_type="application/json")


async def _wait_for_disconnect(request: Request) -> None:
    """Wait until the client disconnects; anything that it still sends is discarded."""
    with contextlib.suppress(ServingError):
        while (await request.receive())["type"] != "http.disconnect":
            pass


def _check_job_id(job_id: str) -> str:
    """Return the id if it is well formed; other strings never reach the job table.

    Raises:
        JobNotFound.
    """
    if not _JOB_ID.fullmatch(job_id):
        raise JobNotFound
    return job_id
