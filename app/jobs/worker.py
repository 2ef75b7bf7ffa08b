"""Job worker: claims queued trainings, runs them, and recovers those of dead processes.

This module must not know who requested a training.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from functools import partial

from app.context import CONTEXT, RequestContext
from app.errors import StoreUnavailable
from app.jobs.ownership import Claim, ClaimLost
from app.jobs.records import Ending
from app.jobs.recovery import Recovery
from app.jobs.running import CANCELLED, JobContext, RunningJob
from modelstore import JobResult, Reason

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 1.0
RETRY_INTERVAL_S = 0.25
LOOK_DEADLINE_S = 6.0
CLOSE_DEADLINE_S = 12.0
STOPPED: tuple[Reason, str] = ("interrupted", "the service was stopped")


class JobWorker:
    """Runs the trainings of one process.

    Attributes:
        unfinished: number of queued and running trainings, and of running search jobs (`searching`), over all
            processes, at the last poll.
    """

    def __init__(self, context: JobContext, ended: Callable[[Ending], None], may_begin: Callable[[], bool]) -> None:
        """Create a worker; `work` runs it.

        Args:
            context: services that every running job needs.
            ended: called for every training that this process ended.
            may_begin: returns whether another job may start here; otherwise queued jobs are left to other processes
                or a later poll.
        """
        self._context = context
        self._ended = ended
        self._may_begin = may_begin
        self._recovery = Recovery(context.claims, context.repository, context.settings.train_lease_s)
        self._running: dict[str, RunningJob] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.unfinished: dict[str, int] = {}

    def wake(self) -> None:
        """Poll the table now instead of after the interval."""
        self._wake.set()

    async def work(self) -> None:
        """Claim, run and recover jobs until the worker is closed; retry while the table cannot be used."""
        trouble = False
        self._idle.clear()
        while not self._closing:
            self._wake.clear()
            try:
                await self._poll()
                trouble = False
            except StoreUnavailable as error:
                if not trouble:
                    logger.error("no training for now: %s", error, exc_info=error)
                trouble = True
            except Exception:
                logger.exception("the job table could not be looked at")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL_INTERVAL_S)
        self._idle.set()

    async def close(self) -> None:
        """End the trainings of this process as interrupted; queued jobs stay queued for another process."""
        self._closing = True
        self.wake()
        for running in self._running.values():
            running.stop(*STOPPED)
        with contextlib.suppress(TimeoutError):  # afterwards a job that is being claimed now is among the tasks
            await asyncio.wait_for(self._idle.wait(), LOOK_DEADLINE_S)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=CLOSE_DEADLINE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def cancel(self, job_id: str, *, keep: bool = False) -> None:
        """End a job at once if it runs here; otherwise its owner finds the request in the table.

        With `keep`, it ends early, and publishes what it has learnt by then.
        """
        for running in self._running.values():
            if running.claim.job.id == job_id and keep:
                running.finish()
            elif running.claim.job.id == job_id:
                running.stop(*CANCELLED)

    async def _poll(self) -> None:
        claims, concurrency = self._context.claims, self._context.settings.train_concurrency
        unfinished = await self._context.call(claims.find_unfinished)
        searching = sum(job.search_of is not None for job in unfinished.running)
        running = len(unfinished.running) - searching
        self.unfinished = {"queued": unfinished.queued, "running": running, "searching": searching}
        others = [job for job in unfinished.running if job.token not in self._running]
        for result in await self._context.call(self._recovery.look, others):
            self._ended(Ending(result.reason))
            self._context.changed()
        free = concurrency - len(self._running)
        for place in range(min(unfinished.queued + unfinished.queued_searches, free)):
            if self._closing or not self._may_begin():
                return
            # At most one search job a poll, and none beside its training: idle processes are the first to get some.
            claim = await self._context.call(partial(claims.claim, searches=place == 0), concurrency)
            if claim is None:
                break
            self._begin(claim)

    def _begin(self, claim: Claim) -> None:
        running = RunningJob(claim, self._context)
        self._running[claim.token] = running
        if self._closing:  # it was claimed during close
            running.stop(*STOPPED)
        task = asyncio.create_task(self._run_job(running), name=f"training {claim.job.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._context.changed()

    async def _run_job(self, running: RunningJob) -> None:
        """Run a claimed job and write its result."""
        job, began = running.claim.job, time.monotonic()
        # Log lines of the job carry the id of the request that created it.
        CONTEXT.set(RequestContext(job.request_id or ""))
        try:
            result = await running.run()
            if not running.lost:
                await self._finish(running, result, time.monotonic() - began)
        except Exception:
            logger.exception("training job %s could not be brought to its end", job.id)
        finally:
            del self._running[running.claim.token]
            self._context.changed()
            self.wake()

    async def _finish(self, running: RunningJob, result: JobResult, ran_s: float) -> None:
        """Write the result of a job, with retries; if the service stops first, another process recovers the job."""
        job, settings = running.claim.job, self._context.settings
        while True:
            try:
                await self._context.call(self._context.claims.finish, running.claim, result, running.report())
                break
            except ClaimLost:
                logger.error("training job %s was taken away from this process", job.id)
                return
            except StoreUnavailable as error:
                logger.warning("the end of training job %s could not be written yet", job.id, exc_info=error)
                if self._closing:
                    return
                await asyncio.sleep(RETRY_INTERVAL_S)
        if job.search_of is None:
            self._ended(Ending(result.reason, job, ran_s))
        logger.info("training job %s of %s ended: %s, %s", job.id, job.model, result.reason, result.detail)
        with contextlib.suppress(StoreUnavailable):  # the next job that ends does it
            await self._context.call(self._context.claims.retain, settings.keep_jobs)
