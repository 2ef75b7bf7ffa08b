"""What can be asked about trainings: start, show, cancel, repeat, follow; it must not know HTTP or how training works.

A training is a row in the job table and, while it runs, a process of its own, which is the command that a person would
type. Who accepted a job need not be who runs it: every process on the table takes what it may (`app/jobs/owner.py`).
Over 250 lines, for every question lists what it may raise: routes rely on it.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import dataclasses
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from app.datasets import DatasetStore
from app.errors import RecipeNotFound, RepositoryReadOnly, StoreUnavailable
from app.jobs.claims import Claims
from app.jobs.database import Database
from app.jobs.following import Workshop
from app.jobs.outcome import may_write
from app.jobs.owner import JobOwner
from app.jobs.recipes import recipes
from app.jobs.records import JobStatus, TrainingJob, TrainingRequest
from app.jobs.store import JobStore
from app.jobs.trainable import check_with_dataset, check_without_dataset
from app.processes import this_process
from app.settings import Settings
from modelstore import ModelRepository

logger = logging.getLogger(__name__)

__all__ = ["JobRunner", "JobStatus", "TrainingJob", "TrainingRequest"]

LOOK_INTERVAL_S = 0.25  # between two looks at a job that may run in another process
ANSWER_DEADLINE_S = 5.5  # of a request that has to wait for the table
REQUEST_THREADS = 16
OWNER_THREADS = 8

OPEN_INTERVAL_S = 1.0

Returned = TypeVar("Returned")


class JobRunner:
    """Accepts trainings, runs its share of them, and tells about all."""

    def __init__(
        self,
        settings: Settings,
        repository: ModelRepository,
        datasets: DatasetStore,
        published: Callable[[], Awaitable[None]],
        ended: Callable[[str], None],
    ) -> None:
        """Store the parts.

        Args:
            settings: folders and limits of the trainings, and where their table is.
            repository: the model store.
            datasets: the data sets that trainings may name.
            published: awaited before the end of a job that published a version.
            ended: called with the reason of every job that this process ended.

        Raises:
            ConfigurationError: if the settings name no usable kind of database.
        """
        self._settings = settings
        self._repository = repository
        self._datasets = datasets
        self._database = Database(settings.database_url, settings.state_dir)
        self._store = JobStore(self._database)
        self._count = ended
        self._requests = ThreadPoolExecutor(REQUEST_THREADS, "job-requests")
        self._owners = ThreadPoolExecutor(OWNER_THREADS, "job-owner")  # requests that wait hold up no heartbeat
        self._changed = asyncio.Event()
        workshop = Workshop(
            settings=settings,
            claims=Claims(self._database, this_process()),
            repository=repository,
            datasets=datasets,
            call=partial(_in_thread, self._owners),
            published=published,
            changed=self._tell,
        )
        self._owner = JobOwner(workshop, ended)
        self._working: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Make the job table ready and begin to work on it.

        Without the table nothing can be trained, which every such request is told; predictions need none.
        """
        ready = await self._ready()
        self._working = asyncio.create_task(self._work(ready), name="trainings")

    async def close(self) -> None:
        """Stop the trainings that run here; those that wait do so until a process comes for them."""
        await self._owner.close()
        if self._working:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        for pool in (self._requests, self._owners):
            pool.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._database.close)

    async def start(self, request: TrainingRequest, idempotency_key: str | None = None) -> TrainingJob:
        """Accept a training and return its job; for a key that came before, the job that it made then.

        Raises:
            RecipeNotFound: if there is neither a data set nor a recipe of the model's name.
            DatasetNotFound, InvalidInput: about the data set, or what is to be learnt from it.
            JobConflict: if the model has a job that has not ended.
            QueueFull, IdempotencyKeyReused.
            RepositoryReadOnly, StoreUnavailable: if the job table or the model store cannot be written.
        """
        return await self._accept(request, idempotency_key)

    async def retry(self, job_id: str) -> TrainingJob:
        """Accept the training of a job once more, on what its data set is now.

        Raises:
            JobNotFound; otherwise as `start`.
        """
        job = await self.get(job_id)
        return await self._accept(job.request(), retry_of=job.id)

    async def get(self, job_id: str) -> TrainingJob:
        """Return a job.

        Raises:
            JobNotFound, StoreUnavailable.
        """
        return await self._ask(self._store.get, job_id)

    async def list(
        self, *, model: str | None = None, status: JobStatus | None = None, before: int | None = None, limit: int = 50
    ) -> tuple[builtins.list[TrainingJob], int | None]:
        """Return the newest jobs, newest first, and the `before` of the next page, None if there is none.

        Args:
            model: only jobs of this model.
            status: only jobs with this status.
            before: only jobs with a lower number.
            limit: how many at most, at least 1.
        """
        return await self._ask(partial(self._store.page, model=model, status=status, before=before, limit=limit))

    async def cancel(self, job_id: str) -> TrainingJob:
        """End a queued job, and ask for the end of a running one, which comes within 2 s wherever it runs.

        Raises:
            JobNotFound, JobEnded, StoreUnavailable.
        """
        job = await self._ask(self._store.cancel, job_id)
        self._owner.cancel(job_id)
        self._tell()
        if job.ended:
            self._count(job.reason or "cancelled")
        return job

    async def wait(self, job_id: str, seconds: float) -> TrainingJob:
        """Return a job when it ends, or as it is after so many seconds.

        Raises:
            JobNotFound, StoreUnavailable.
        """
        deadline = time.monotonic() + seconds
        while True:
            job = await self.get(job_id)
            left_s = deadline - time.monotonic()
            if job.ended or left_s <= 0:
                return job
            await self._change(min(left_s, LOOK_INTERVAL_S))

    async def events(self, job_id: str, after: int = 0) -> AsyncIterator[tuple[int, str]]:
        """Yield the events of a job as number, from 1, and JSON line, until its result.

        Args:
            job_id: of the job.
            after: only events with a higher number.

        Raises:
            JobNotFound, StoreUnavailable.
        """
        job = await self.get(job_id)
        while True:
            lines = await self._ask(self._store.events, job.number, after)
            for after, line in lines:  # noqa: PLR1704 - the next look goes on behind the last
                yield after, line
            if lines and json.loads(lines[-1][1]).get("event") == "result":
                return
            if not lines and job.ended:
                return
            if not lines:
                await self._change(LOOK_INTERVAL_S)

    def unfinished(self) -> Mapping[str, int]:
        """Return how many jobs wait and run, over all processes, as of a second ago; empty before the first look."""
        return self._owner.unfinished

    async def datasets_in_use(self) -> frozenset[tuple[str, str]]:
        """Return name and sha256 of the data sets that jobs need which have not ended."""
        return await self._ask(self._store.datasets_in_use)

    async def _accept(
        self, request: TrainingRequest, idempotency_key: str | None = None, retry_of: str | None = None
    ) -> TrainingJob:
        digest = request.digest()
        if idempotency_key and (earlier := await self._ask(self._store.earlier, idempotency_key, digest)):
            return earlier
        if self._settings.train_concurrency and not await asyncio.to_thread(may_write, self._repository, request.model):
            raise RepositoryReadOnly
        add = partial(
            self._store.add,
            digest=digest,
            limit=self._settings.max_queued_jobs,
            idempotency_key=idempotency_key,
            retry_of=retry_of,
        )
        if request.dataset is None:
            check_without_dataset(request)
            if request.model not in (known := await asyncio.to_thread(recipes, self._settings.recipes_dir)):
                raise RecipeNotFound(known)
            job = await self._ask(add, request)
        else:
            async with self._datasets.unchanged():
                summary = (await self._datasets.get(request.dataset)).summary
                request = dataclasses.replace(request, features=check_with_dataset(request, summary))
                job = await self._ask(partial(add, data_sha256=summary.sha256), request)
        self._owner.wake()
        return job

    async def _ready(self) -> bool:
        try:
            await _in_thread(self._owners, self._database.open)
        except StoreUnavailable as error:
            logger.error("no training for now: %s", error, exc_info=error)
            return False
        return True

    async def _work(self, ready: bool) -> None:
        while not ready:
            await asyncio.sleep(OPEN_INTERVAL_S)
            ready = await self._ready()
        await self._owner.work()

    async def _ask(self, function: Callable[..., Returned], *arguments: object) -> Returned:
        """Call what a request needs in a thread, and wait only so long for it."""
        try:
            return await asyncio.wait_for(_in_thread(self._requests, function, *arguments), ANSWER_DEADLINE_S)
        except TimeoutError as error:
            raise StoreUnavailable("the job table does not answer now; predictions are not affected") from error

    def _tell(self) -> None:
        """Let those who wait for a change look."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _change(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)


async def _in_thread(pool: ThreadPoolExecutor, function: Callable[..., Returned], *arguments: object) -> Returned:
    return await asyncio.get_running_loop().run_in_executor(pool, partial(function, *arguments))
