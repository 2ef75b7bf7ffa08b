"""Interface of the training jobs: start, show, cancel, retry and follow.

A training is a row in the job table and, while it runs, a process of its own, running the same command that people
use. The process that accepts a job need not run it: every process on the table claims jobs (`app/jobs/worker.py`).
This module must not know HTTP or how training works.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial

from app.datasets.folders import Contents
from app.datasets.store import DatasetStore
from app.errors import StoreUnavailable
from app.jobs.acceptance import Acceptance
from app.jobs.labelled import LabelledRows
from app.jobs.late import LateTable
from app.jobs.opening import TableOpening
from app.jobs.process.identity import this_process
from app.jobs.records import Ending, JobStatus, TrainingJob, TrainingRequest
from app.jobs.running import JobContext
from app.jobs.threads import TableThreads
from app.jobs.watching import Watches
from app.jobs.worker import JobWorker
from app.settings import Settings
from modelstore import ModelRepository

EXPIRY_INTERVAL_S = 3600.0
LOOK_INTERVAL_S = 0.25  # poll interval for a job that may run in another process


class JobRunner:
    """Accepts trainings, runs its share of them, and reports on all of them.

    Attributes:
        ask: runs a query of the job table for a request, see `TableThreads.ask`.
        feedback: labels that came later, in the same database.
        shadow_answers: what shadow versions answered for rows with a receipt, likewise.
        kept: what is kept of predicted rows, likewise.
    """

    def __init__(
        self,
        settings: Settings,
        repository: ModelRepository,
        datasets: DatasetStore,
        published: Callable[[], Awaitable[None]],
        ended: Callable[[Ending], None],
        *,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        """Create a runner; `open` starts it.

        `published` is awaited before the end of a job that published a version, `ended` is called for every training
        that this process ended, and `may_begin` returns whether a job may start here; if not, it is only accepted.

        Raises:
            ConfigurationError: if the settings name no usable kind of database.
        """
        self._table = LateTable(settings.database_url, settings.state_dir, this_process())
        self._store = store = self._table.store
        self.feedback, self.kept = self._table.feedback, self._table.kept
        self.shadow_answers = self._table.shadow_answers
        self._count = ended
        self._opening = TableOpening(self._table)
        self._changed = asyncio.Event()
        self._threads = TableThreads(self._opening.wait_for_attempt)
        self.ask = self._threads.ask
        self._watches = Watches(self._wait_for_end)
        labelled = LabelledRows(self.kept, repository)
        context = JobContext(
            settings=settings,
            claims=self._table.claims,
            repository=repository,
            datasets=datasets,
            labelled=labelled,
            call=self._threads.call,
            published=published,
            changed=self._notify,
        )
        self._worker = JobWorker(context, ended, may_begin)
        self._acceptance = Acceptance(
            settings, repository, datasets, store, labelled, ask=self.ask, accepted=self._worker.wake
        )
        self._working: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start working on the job table once it exists; only requests about trainings wait for it.

        Without the table such requests fail; predictions do not need it.
        """
        self._working = asyncio.create_task(self._work(), name="trainings")

    async def close(self) -> None:
        """End the trainings that run here; queued jobs stay queued for another process."""
        await self._worker.close()
        if self._working:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        self._threads.close()
        await asyncio.to_thread(self._table.close)

    async def start(self, request: TrainingRequest, idempotency_key: str | None = None) -> TrainingJob:
        """Accept a training and return its job; for a repeated idempotency key, return the job created then.

        Raises:
            RecipeNotFound: if there is neither a data set nor a recipe of the model's name.
            DatasetNotFound, InvalidInput: if the data set, or the choice of its columns, is wrong.
            JobConflict: if the model has an unfinished job.
            QueueFull, IdempotencyKeyReused.
            RepositoryReadOnly, StoreUnavailable: if the job table or the model store cannot be written.
        """
        return await self._acceptance.accept(request, idempotency_key)

    async def retry(self, job_id: str) -> TrainingJob:
        """Accept the training of a job again, on the current content of its data set.

        Raises:
            JobNotFound; otherwise as `start`.
        """
        job = await self.get(job_id)
        return await self._acceptance.accept(job.request, retry_of=job.id)

    async def require_idle(self, model: str) -> None:
        """Check that a model has no unfinished training, in any process.

        Raises:
            JobConflict, StoreUnavailable.
        """
        await self.ask(self._store.require_idle, model)

    async def get(self, job_id: str) -> TrainingJob:
        """Return a job.

        Raises:
            JobNotFound, StoreUnavailable.
        """
        return await self.ask(self._store.get, job_id)

    async def list(
        self, *, model: str | None = None, status: JobStatus | None = None, before: int | None = None, limit: int = 50
    ) -> tuple[builtins.list[TrainingJob], int | None]:
        """Return the newest jobs, newest first, and `before` for the next page; see `JobStore.page`."""
        return await self.ask(partial(self._store.page, model=model, status=status, before=before, limit=limit))

    async def cancel(self, job_id: str, *, keep: bool = False) -> TrainingJob:
        """Cancel a job: a queued one ends at once, a running one within 2 s, in whichever process it runs.

        With `keep`, a running one ends early instead, and publishes what it has learnt by then.

        Raises:
            JobNotFound, JobEnded, StoreUnavailable.
        """
        job = await self.ask(partial(self._store.cancel, keep=keep), job_id)
        self._worker.cancel(job_id, keep=keep)
        self._notify()
        if job.ended and job.search_of is None:
            self._count(Ending(job.reason or "cancelled"))
        return job

    async def wait(self, job_id: str, seconds: float) -> TrainingJob:
        """Return a job when it ends, or in its current state after the given number of seconds.

        Raises:
            JobNotFound, StoreUnavailable.
        """
        return await self._watches.wait_for_end(job_id, seconds) or await self.get(job_id)

    async def events(self, job_id: str, after: int = 0) -> AsyncIterator[tuple[int, str]]:
        """Yield the events of a job as number, above `after`, and JSON line, until its result or, without one, its end.

        Raises:
            JobNotFound, StoreUnavailable.
        """
        job = await self.get(job_id)
        while True:
            lines, ended = await self.ask(self._store.events, job.number, after)
            for after, line in lines:  # noqa: PLR1704 - the next look goes on behind the last
                yield after, line
            if lines and json.loads(lines[-1][1]).get("event") == "result":
                return
            if not lines and ended:
                return
            if not lines:
                await self._wait_for_change(LOOK_INTERVAL_S)

    def count_unfinished(self) -> Mapping[str, int]:
        """Return the number of unfinished jobs as `JobWorker.unfinished`; at most about a second old.

        The mapping is empty before the first poll.
        """
        return self._worker.unfinished

    async def datasets_in_use(self) -> Contents:
        """Return name and content id of the data sets that unfinished jobs need."""
        return await self.ask(self._store.datasets_in_use)

    async def _wait_for_end(self, job_id: str) -> TrainingJob:
        while not (job := await self.get(job_id)).ended:
            await self._wait_for_change(LOOK_INTERVAL_S)
        return job

    async def _work(self) -> None:
        """Open the table, then run jobs, and remove what has expired."""
        await self._opening.open(self._threads.call, self._count_none)
        removing = asyncio.create_task(self._remove_expired(), name="expired ids and inputs")
        try:
            await self._worker.work()
        finally:
            removing.cancel()

    async def _remove_expired(self) -> None:
        while True:
            with contextlib.suppress(StoreUnavailable):  # the next hour does it
                await self._threads.call(self.kept.remove_expired, int(time.time()))
            await asyncio.sleep(EXPIRY_INTERVAL_S)

    def _count_none(self) -> None:
        self._worker.unfinished = {"queued": 0, "running": 0, "searching": 0}

    def _notify(self) -> None:
        """Wake all tasks that wait for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait_for_change(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)
