"""Validate a training request and add its job to the table.

This module must not know which process runs the job.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tomllib
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.context import current_request_id, waiting
from app.datasets.store import DatasetStore
from app.errors import StoreUnavailable
from app.jobs.errors import RecipeNotFound, RepositoryReadOnly
from app.jobs.labelled import LabelledRows
from app.jobs.learner_settings import check_settings, check_with_recipe, settings_of_data
from app.jobs.outcome import may_write
from app.jobs.records import TrainingJob, TrainingRequest
from app.jobs.threads import InThread
from app.jobs.trainable import check_model_name, check_with_dataset, check_without_dataset, columns_learnt_from
from app.settings import Settings
from modelstore import ModelRepository

if TYPE_CHECKING:
    from app.jobs.store import JobStore

logger = logging.getLogger(__name__)

AT_ONCE = 4  # requests validated at a time: their threads delay the event loop, and so predictions
TURN_DEADLINE_S = 5.0  # longest wait of further requests


class Acceptance:
    """Accepts training requests, or refuses them with a reason; calls `accepted` for each job that it added."""

    def __init__(
        self,
        settings: Settings,
        repository: ModelRepository,
        datasets: DatasetStore,
        store: JobStore,
        labelled: LabelledRows,
        *,
        ask: InThread,
        accepted: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._repository = repository
        self._datasets = datasets
        self._store, self._labelled = store, labelled
        self._ask = ask
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._accepted = accepted

    async def accept(
        self, request: TrainingRequest, idempotency_key: str | None = None, retry_of: str | None = None
    ) -> TrainingJob:
        """Accept a training and return its job; for a repeated idempotency key, return the job created then.

        Raises:
            ServingError: as `JobRunner.start`.
        """
        check_model_name(request.model)
        async with self._turn():
            return await self._accept(request, idempotency_key, retry_of)

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Hold one of the `AT_ONCE` slots for validating a request.

        Raises:
            StoreUnavailable: if no slot becomes free in time.
        """
        try:
            with waiting():
                async with asyncio.timeout(TURN_DEADLINE_S):
                    await self._turns.acquire()
        except TimeoutError as error:
            raise StoreUnavailable("too many trainings are asked for at a time; try again in a moment") from error
        try:
            yield
        finally:
            self._turns.release()

    async def _accept(self, request: TrainingRequest, idempotency_key: str | None, retry_of: str | None) -> TrainingJob:
        if idempotency_key and (earlier := await self._ask(self._store.earlier, idempotency_key, request.digest())):
            return earlier
        if self._settings.train_concurrency and not await asyncio.to_thread(may_write, self._repository, request.model):
            raise RepositoryReadOnly
        add = partial(
            self._store.add,
            limit=self._settings.max_queued_jobs,
            idempotency_key=idempotency_key,
            retry_of=retry_of,
            request_id=current_request_id(),
        )
        if request.dataset is None:
            job = await self._with_recipe(request, add)
        else:
            job = await self._with_dataset(request, request.dataset, add)
        logger.info("training job %s of %s was accepted", job.id, job.model)
        self._accepted()
        return job

    async def _with_recipe(self, request: TrainingRequest, add: Callable[..., TrainingJob]) -> TrainingJob:
        check_without_dataset(request)
        if request.model not in (known := await asyncio.to_thread(_list_recipes, self._settings.recipes_dir)):
            raise RecipeNotFound(known)
        check_with_recipe(request, await asyncio.to_thread(_read_recipe, self._settings.recipes_dir, request.model))
        return await self._ask(add, request)

    async def _with_dataset(
        self, request: TrainingRequest, dataset: str, add: Callable[..., TrainingJob]
    ) -> TrainingJob:
        """Accept a training on the current content of a data set, which is locked until the job is written."""
        async with self._datasets.unchanged():
            stored = await self._datasets.get(dataset)
            left_out = await asyncio.to_thread(check_with_dataset, request, stored.summary)
            check_settings(request, settings_of_data(request.overrides))
            if request.include_feedback:
                needed = columns_learnt_from(request, stored.summary, left_out)
                await self._ask(self._labelled.require, request.model, request.target, needed)
            content = {"data_sha256": stored.summary.sha256, "dialect": stored.dialect}
            return await self._ask(partial(add, left_out=left_out, **content), request)


def _read_recipe(folder: Path, model: str) -> dict[str, Any]:
    """Read a model's recipe; empty if that is impossible, and then the training says what is wrong with it."""
    try:
        return tomllib.loads((folder / f"{model}.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _list_recipes(folder: Path) -> tuple[str, ...]:
    """Return the models with a recipe: files named like their model, not variants such as iris-tutorial."""
    names = [path.stem for path in folder.glob("*.toml")]
    return tuple(sorted(name for name in names if _read_recipe(folder, name).get("model", name) == name))
