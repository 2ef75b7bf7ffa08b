"""Run one claimed job: start its process, supervise it and report its progress.

Changes are written to the table four times a second; the same query tells whether to cancel the job. If the claim is
lost, another process has declared this one dead: the training is killed, and nothing more is written. This module must
not know queues or other jobs.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.datasets.store import DatasetStore
from app.errors import StoreUnavailable
from app.jobs.changes import Changes
from app.jobs.command import command_of, input_of
from app.jobs.labelled import LabelledRows
from app.jobs.outcome import end_result, find_published, outcome
from app.jobs.ownership import Asked, Claim, ClaimLost, Report
from app.jobs.process.child import Child
from app.jobs.process.commands import confine, training_environment
from app.jobs.process.processor import ProcessorWatch, read_usage
from app.jobs.threads import InThread
from app.settings import Settings
from modelstore import JobResult, ModelRepository, Notice, Permit, PublishError, Reason, limit_warnings

if TYPE_CHECKING:
    from app.jobs.claims import Claims

logger = logging.getLogger(__name__)

REPORT_INTERVAL_S = 0.25
CONTROL_INTERVAL_S = 0.1
BEATS_IN_A_LEASE = 5
CANCELLED: tuple[Reason, str] = ("cancelled", "cancelled while it ran")
TERMINATE_GRACE_S, EXIT_GRACE_S = 1.0, 5.0  # from the signal, and from the end of the output, to that of the process


@dataclass(frozen=True)
class JobContext:
    """Services that every running job needs.

    Attributes:
        call: runs a blocking function in a thread.
        published: awaited before the end of a job that published a version.
        changed: called after the table changed.
    """

    settings: Settings
    claims: Claims
    repository: ModelRepository
    datasets: DatasetStore
    labelled: LabelledRows
    call: InThread
    published: Callable[[], Awaitable[None]]
    changed: Callable[[], None]


class RunningJob:
    """A job that runs in this process; once `lost` is set, another process has its claim."""

    def __init__(self, claim: Claim, context: JobContext) -> None:
        self.claim = claim
        self.lost = False
        self._context = context
        self._done = asyncio.Event()
        self._stop: tuple[Reason, str] | None = None
        self._child: Child | None = None
        self._changes = Changes(claim.job.id)
        self._finishing = self._interrupted = False

    def stop(self, reason: Reason, detail: str) -> None:
        """Request the end of the training; the first reason counts, unless it ends by itself."""
        self._stop = self._stop or (reason, detail)

    def finish(self) -> None:
        """Request that the training ends early, and publishes what it has learnt by then."""
        self._finishing = True

    async def run(self) -> JobResult:
        """Run the training and return its result.

        A published version serves by then. If `lost` is set, the result must be discarded.
        """
        reporting = asyncio.create_task(self._keep_reporting(), name=f"reports of {self.claim.job.id}")
        try:
            result = await self._train()
            if result.version is not None:
                await self._serve_version(result.version)
            return result
        finally:
            self._done.set()
            await reporting

    def report(self, *, alive: bool = False) -> Report:
        """Return the changes since the last report."""
        return self._changes.report(self._child.log if self._child else (), alive=alive)

    async def _keep_reporting(self) -> None:
        """Report until the job is done or lost; a report that cannot be written is repeated later."""
        beat_s = self._context.settings.train_lease_s / BEATS_IN_A_LEASE
        next_beat = time.monotonic() + beat_s
        while not self._done.is_set() and not self.lost:
            alive = time.monotonic() >= next_beat
            report = self.report(alive=alive)
            try:
                asked = await self._context.call(self._context.claims.report, self.claim, report)
            except StoreUnavailable:
                pass  # an owner that cannot write is not declared dead, see app/jobs/recovery.py
            except ClaimLost:
                self.lost = True
                logger.error("training job %s was taken away from this process", self.claim.job.id)
            else:
                self._obey(asked)
                if self._changes.forget(report):
                    self._context.changed()
                next_beat = time.monotonic() + beat_s if alive else next_beat
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._done.wait(), min(REPORT_INTERVAL_S, beat_s))

    def _obey(self, asked: Asked) -> None:
        """Do what clients asked for in the table."""
        if asked.cancel:
            self.stop(*CANCELLED)
        elif asked.finish and not self._changes.renewed:  # else it is the request that ended the search
            self.finish()

    async def _train(self) -> JobResult:
        """Run the training process and return its result."""
        job = self.claim.job
        try:
            permit = await self._context.call(self._begin)
            result = await self._run(permit)
        except PublishError as error:
            reason: Reason = "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "failed"
            return end_result(job, reason, f"the model store cannot be written: {error.reason}")
        except Exception:
            logger.exception("training job %s could not be followed", job.id)
            result = end_result(job, "failed", "the training process could not be run or followed")
        result = await self._context.call(self._settle, result)
        return (
            result
            if result.warnings
            else result.model_copy(update={"warnings": limit_warnings(self._changes.warnings)})
        )

    async def _serve_version(self, version: int) -> None:
        try:
            await self._context.published()
        except Exception:
            logger.exception("version %d was published, but the model store could not be looked at", version)

    def _begin(self) -> Permit:
        """Record the version that is active now, and obtain the permit to publish."""
        job = self.claim.job
        active = self._context.repository.active(job.model)
        if active is not None:
            self._changes.set_version_before(active)
        return Permit(job.id, self._context.repository.permit(job.model, job.id))

    def _settle(self, result: JobResult) -> JobResult:
        """Return the final result after the process has ended: a version that it published counts as success."""
        job = self.claim.job
        try:
            if result.reason != "succeeded" and (self._stop or not self._changes.result):
                result = find_published(self._context.repository, job) or result
            self._context.repository.revoke(job.model, job.id)  # the process that could use it has ended
        except (PublishError, OSError):
            logger.warning("the model store could not be tidied up after training job %s", job.id, exc_info=True)
        return result

    async def _run(self, permit: Permit) -> JobResult:
        job, settings = self.claim.job, self._context.settings
        memory_bytes = min(job.request.memory_bytes or settings.train_memory_bytes, settings.train_memory_bytes)
        command = confine(command_of(job, self._data(), permit, settings), memory_bytes, settings.train_niceness)
        self._child = child = await Child.start(
            command, training_environment(), self._log_output, await self._context.call(self._input)
        )
        listening = asyncio.create_task(child.listen(self._hear), name=f"events of {job.id}")
        grace_s = 0.0
        try:
            await self._control(child, listening)
            await listening
            grace_s = EXIT_GRACE_S
        finally:
            listening.cancel()
            await child.end(grace_s)
        reported = self._changes.result
        if self._stop and not (reported and reported.reason == "succeeded"):
            return end_result(job, *self._stop)
        return outcome(job, child, reported, memory_bytes)

    def _input(self) -> bytes:
        """Return what the training process is told, which may have many rows of feedback, so call it from a thread."""
        job = self.claim.job
        wanted = job.request.include_feedback
        feedback = self._context.labelled.find(job.model, job.request.target) if wanted else None
        return input_of(job, self._context.settings, feedback)

    def _hear(self, line: bytes) -> None:
        renewed = self._changes.renewed
        self._changes.hear(line)
        if self._changes.renewed and not renewed:
            self._finishing = self._interrupted = False

    async def _control(self, child: Child, listening: asyncio.Task[None]) -> None:
        """Wait until the process closes its output; end it on timeout, a stop request or a lost claim."""
        settings, job = self._context.settings, self.claim.job
        timeout_s = min(job.request.timeout_s or settings.train_timeout_s, settings.train_timeout_s)
        deadline, kill_at = time.monotonic() + timeout_s, None
        processor = ProcessorWatch(partial(read_usage, child.pid), time.monotonic())
        while not listening.done():
            await asyncio.wait({listening}, timeout=CONTROL_INTERVAL_S)
            now = time.monotonic()
            if said := processor.look(now):
                self._changes.tell(Notice(message=said), starving=processor.starving)
            if now >= deadline:
                self.stop("timed_out", f"it ran longer than the {timeout_s:g} s that it may")
            if self._finishing and self._changes.heard and not self._interrupted:
                child.interrupt()
                self._interrupted = True  # a second signal would cancel it
            if self._stop and kill_at is None:
                child.terminate()
                kill_at = now + TERMINATE_GRACE_S
            if child.has_ended or self.lost or (kill_at is not None and now >= kill_at):
                child.kill()  # including processes that it started and left behind

    def _data(self) -> Path | None:
        job = self.claim.job
        if job.request.dataset is None or job.data_sha256 is None:
            return None
        return self._context.datasets.path(job.request.dataset, job.data_sha256, job.dialect)

    def _log_output(self, line: str) -> None:
        logger.info("training job %s: %s", self.claim.job.id, line)
