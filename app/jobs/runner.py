"""Runs trainings: a row in the job table and a child process each; it must not know HTTP or how training works.

The child is the command that a person would type. It says what happens in JSON lines on its standard output; what it
writes to standard error goes to the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import signal
import time
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic import ValidationError

from app.errors import RecipeNotFound, StoreUnavailable
from app.jobstore import JobStatus, JobStore, TrainingJob
from app.settings import Settings
from app.trainer import training_command, training_environment
from modelstore import EpochMetrics, JobResult, Notice, Overrides, Reason, from_line

logger = logging.getLogger(__name__)

REPORT_INTERVAL_S = 0.5
STOP_GRACE_S = 5.0
LINE_LIMIT_BYTES = 1 << 20
_STATUS_AT_END = {"succeeded": JobStatus.SUCCEEDED, "interrupted": JobStatus.INTERRUPTED}


class JobRunner:
    """Starts trainings one after the other and follows them to their end."""

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        published: Callable[[], Awaitable[None]],
        ended: Callable[[str], None],
    ) -> None:
        """Store the parts.

        Args:
            settings: folders for the child.
            store: the job table.
            published: awaited before the end of a job that published a version.
            ended: called with the reason of every job that ended.
        """
        self._settings = settings
        self._store = store
        self._published = published
        self._ended = ended
        self._one_at_a_time = asyncio.Semaphore(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Make the job table ready, and end what an earlier process left unfinished.

        Without the table nothing can be trained, which every such request is told; predictions need none.
        """
        try:
            await asyncio.to_thread(self._store.open)
            if left := await asyncio.to_thread(self._store.interrupt_orphans):
                logger.warning("%d training jobs were interrupted by the last stop", left)
        except StoreUnavailable as error:
            logger.error("no training until the next start: %s", error, exc_info=error)

    async def close(self) -> None:
        """Stop all trainings; nothing unfinished is published."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._store.close)

    def recipes(self) -> tuple[str, ...]:
        """Return the models that can be trained: recipes named like their model, not variants such as iris-tutorial."""
        recipes = self._settings.recipes_dir.glob("*.toml")
        return tuple(sorted(path.stem for path in recipes if _model_of(path) in (path.stem, None)))

    async def start(self, model: str, overrides: Overrides, activate: str) -> TrainingJob:
        """Accept a training and return its job, queued.

        Raises:
            RecipeNotFound: if there is no recipe of that name.
            StoreUnavailable: if the job table cannot be written.
        """
        if model not in (known := await asyncio.to_thread(self.recipes)):
            raise RecipeNotFound(known)
        job_id = secrets.token_hex(8)
        job = await asyncio.to_thread(self._store.add, job_id, model, activate, overrides.given())
        task = asyncio.create_task(self._follow(job), name=f"training {job.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    async def get(self, job_id: str) -> TrainingJob:
        """Return a job.

        Raises:
            JobNotFound, StoreUnavailable.
        """
        return await asyncio.to_thread(self._store.get, job_id)

    async def latest(self, limit: int) -> list[TrainingJob]:
        """Return the newest jobs, newest first."""
        return await asyncio.to_thread(self._store.latest, limit)

    async def _follow(self, job: TrainingJob) -> None:
        """Take a job from the queue to its end; the row is final before the next job begins."""
        try:
            async with self._one_at_a_time:
                await self._end(job, await self._outcome(job))
        except asyncio.CancelledError:
            await self._end(job, _ended(job, "interrupted", "the service was stopped"))
            raise

    async def _outcome(self, job: TrainingJob) -> JobResult:
        """Return how the training went; what it published serves by then."""
        try:
            await asyncio.to_thread(self._store.start, job.id)
            result = await self._run(job)
        except Exception:
            logger.exception("training job %s could not be followed", job.id)
            return _ended(job, "failed", "the training process could not be run or followed")
        if result.version is not None:
            try:
                await self._published()
            except Exception:
                logger.exception("training job %s published, but the model store could not be looked at", job.id)
        return result

    async def _end(self, job: TrainingJob, result: JobResult) -> None:
        status = _STATUS_AT_END.get(result.reason, JobStatus.FAILED)
        document = result.model_dump(mode="json", exclude_none=True)
        try:
            await asyncio.to_thread(self._store.finish, job.id, status, result.reason, result.detail, document)
        except StoreUnavailable as error:
            logger.error("the end of training job %s could not be written", job.id, exc_info=error)
        self._ended(result.reason)
        logger.info("training job %s of %s ended: %s, %s", job.id, job.model, result.reason, result.detail)

    async def _run(self, job: TrainingJob) -> JobResult:
        arguments = ("fit", job.model, "--json-lines", "--job", job.id, "--activate", job.activate)
        command = training_command(self._settings, *arguments, "--overrides", json.dumps(job.overrides))
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env=training_environment(),
            limit=LINE_LIMIT_BYTES,
        )
        try:
            result = await self._listen(job, child)
            code = await child.wait()
        finally:
            await _stop(child)
        if result is None:
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            return _ended(job, "failed", f"the training process ended with {how} before it said how it went")
        return result

    async def _listen(self, job: TrainingJob, child: asyncio.subprocess.Process) -> JobResult | None:
        """Read what the child says until it ends; keep the latest epoch in the table, at most twice a second."""
        assert child.stdout is not None
        result, written_at = None, 0.0
        async for line in child.stdout:
            try:
                event = from_line(line)
            except ValidationError:
                logger.warning("training job %s said something that is no event", job.id)
                continue
            if isinstance(event, JobResult):
                result = event
            elif isinstance(event, Notice):
                logger.info("training job %s: %s", job.id, event.message)
            elif time.monotonic() - written_at >= REPORT_INTERVAL_S or event.epoch == event.epochs:
                written_at = time.monotonic()
                await self._report(job, event)
        return result

    async def _report(self, job: TrainingJob, event: EpochMetrics) -> None:
        with contextlib.suppress(
            StoreUnavailable
        ):  # the next epoch will do; a training is not lost for a progress line
            await asyncio.to_thread(self._store.report, job.id, event.model_dump(mode="json"))


async def _stop(child: asyncio.subprocess.Process) -> None:
    """End a child that still runs: politely first, then for certain."""
    if child.returncode is not None:
        return
    child.terminate()
    try:
        await asyncio.wait_for(asyncio.shield(child.wait()), STOP_GRACE_S)
    except (TimeoutError, asyncio.CancelledError):
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def _model_of(recipe: Path) -> object:
    """Return the model that a recipe names, or None if it cannot be read: the training says what is wrong with it."""
    try:
        return tomllib.loads(recipe.read_text("utf-8")).get("model")
    except (OSError, ValueError):
        return None


def _ended(job: TrainingJob, reason: Reason, detail: str) -> JobResult:
    return JobResult(reason=reason, detail=detail, model=job.model)
