"""Registry of the serving versions: an in-memory view of the model store on disk.

The disk is the source of truth; `refresh` reads it. A version that should serve is loaded and verified off the event
loop and then installed by one assignment, so every request sees exactly one version and none waits for a swap. The
registry must not know HTTP or torch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from app.registry.errors import ModelNotFound, ModelNotReady, VersionInUse
from app.registry.loader import Loader
from app.registry.on_demand import OnDemandLoads
from app.registry.priority_lock import PriorityLock
from app.registry.selection import VersionSelector
from app.registry.state import Refusal, ServedModel
from app.registry.store import ModelStore
from app.runtime.errors import VersionRefused
from app.runtime.load import LoadedModel
from modelstore import ModelRepository
from modelstore.names import RESERVED

logger = logging.getLogger(__name__)


class ModelRegistry:
    """Map each model name to the version that serves it now.

    Attributes:
        stored: the versions on disk of the models that the registry knows.
        swapped: set after each swap; whoever waits for it clears it.
    """

    def __init__(
        self,
        repository: ModelRepository,
        loader: Loader,
        check: Callable[[LoadedModel], None],
        *,
        strict: bool = False,
        note: Callable[[str], None] = lambda result: None,
    ) -> None:
        """Create an empty registry; `refresh` fills it.

        Args:
            repository: the store on disk.
            loader: loads and caches versions.
            check: compares a loaded version with its golden rows again; raises VersionRefused.
            strict: whether a single model that cannot serve makes the service not ready.
            note: called with the result of each swap: `served`, `refused` or `withdrawn`; and with `replaced` for a
                loaded version whose number now means another version in the store.
        """
        self.stored = ModelStore(repository, known=self.get)
        self._loader = loader
        self._selector = VersionSelector(repository, loader, note)
        self._check = check
        self._strict = strict
        self._note = note
        self._served: dict[str, ServedModel] = {}
        self._lock = PriorityLock()
        self._on_demand = OnDemandLoads(self._load_on_demand, self._lock)
        self.swapped = asyncio.Event()

    def close(self) -> None:
        """Cancel the loads on request and stop the loader thread."""
        self._on_demand.close()
        self._loader.close()

    @property
    def complete(self) -> bool:
        """Whether there is at least one model and every model has a serving version."""
        return bool(self._served) and all(model.loaded for model in self._served.values())

    @property
    def ready(self) -> bool:
        """Whether the service should receive requests: one serving model is enough, unless `strict` requires all."""
        return self.complete or (not self._strict and any(model.loaded for model in self._served.values()))

    def models(self) -> tuple[ServedModel, ...]:
        """Return all models of the store, by name."""
        return tuple(self._served[name] for name in sorted(self._served))

    def get(self, name: str) -> ServedModel:
        """Return the state of a model.

        Raises:
            ModelNotFound.
        """
        try:
            return self._served[name]
        except KeyError:
            raise ModelNotFound(tuple(sorted(self._served))) from None

    def active(self, name: str) -> LoadedModel:
        """Return the version that serves a model now; on the hot path, so without disk access or waiting.

        Raises:
            ModelNotFound, ModelNotReady.
        """
        model = self.get(name)
        if model.loaded is None:
            raise ModelNotReady(name, model.reason or "it is being loaded")
        return model.loaded

    async def resolve(self, name: str, version: int) -> LoadedModel:
        """Return a version by its number; load it first if necessary.

        Raises:
            ModelNotFound, VersionNotFound, TooManyLoads.
            VersionRefused: if it fails verification, or failed it before and its files are unchanged.
        """
        self.get(name)
        if (recent := self._loader.recent(name, version)) is not None:
            return recent
        self._on_demand.require_room(name, version)
        files = await asyncio.to_thread(self.stored.fingerprint, name, version)
        refusal = self.get(name).refused.get(version)
        if refusal is not None and refusal.fingerprint == files:
            raise refusal.error(name, version)
        outcome = await self._on_demand.outcome(name, version)
        if isinstance(outcome, Refusal):
            raise outcome.error(name, version)
        return outcome

    async def refresh(self) -> None:
        """Synchronise with the store: install newly active versions, forget removed or replaced ones."""
        async with self._lock.for_change():
            names = await self._loader.run(self.stored.names)
            for name in RESERVED.intersection(names).difference(self._served):
                logger.warning("GET /v2/models/%s cannot show the model %s; publish it under another name", name, name)
            for name in names:
                known = self._served.get(name, ServedModel(name))
                if model := await self._loader.run(self._selector.try_refresh, known):
                    self._put(model)
            for name in set(self._served).difference(names):
                self._forget(name)

    async def activate(self, name: str, version: int) -> ServedModel:
        """Verify a version, make it the active one on disk, and serve it; also used to roll back.

        Raises:
            ModelNotFound, VersionNotFound, StoreUnavailable.
            VersionRefused: if it fails verification; the version that serves now keeps serving.
        """
        self.get(name)
        async with self._lock.for_change():
            outcome = await self._loader.run(self._find_and_load, name, version)
            if isinstance(outcome, Refusal):
                self._note("refused")
                raise outcome.error(name, version)
            await self._loader.run(self.stored.activate, name, version)
            model = replace(self._served[name], active=version).with_version(outcome)
            self._put(model)
            return model

    async def remove(self, name: str, version: int) -> None:
        """Remove a version from the store permanently.

        Raises:
            ModelNotFound, VersionNotFound, StoreUnavailable.
            VersionInUse: if it is the active version or serves here.
        """
        self.get(name)
        async with self._lock.for_change():
            if self.get(name).serving == version:
                raise VersionInUse(name, version)
            await self._loader.run(self.stored.remove, name, version)
            self._loader.forget(name, version)

    async def remove_model(self, name: str) -> None:
        """Remove a model with all its versions from the store permanently; it stops serving.

        Raises:
            ModelNotFound, StoreUnavailable.
        """
        self.get(name)
        async with self._lock.for_change():
            await self._loader.run(self.stored.remove_model, name)
            self._forget(name)

    async def self_test(self) -> None:
        """Check every loaded version against its golden rows again; withdraw a version that fails.

        Another version that passes verification takes its place. If none does, the model stops serving: no answer is
        better than a wrong one.
        """
        for loaded in self._serving_versions().union(self._loader.cached()):
            async with self._lock.for_change():  # one lock per version: an activation waits for one test at most
                if loaded in self._serving_versions().union(self._loader.cached()):
                    await self._test(loaded)

    async def _test(self, loaded: LoadedModel) -> None:
        try:
            await self._loader.run(self._check, loaded)
        except VersionRefused as error:
            await self._withdraw(loaded, error)
        except Exception:  # an error is not a wrong answer, and predictions report it too
            logger.exception("version %d of %s could not be tested", loaded.schema.version, loaded.schema.name)

    async def _withdraw(self, loaded: LoadedModel, error: VersionRefused) -> None:
        """Withdraw a version that answers wrongly, until its files change or it is activated again."""
        name, version = error.name, error.version
        logger.error("%s; it had proved itself before", error)
        files = self._loader.forget(name, version)
        model = self._served.get(name)
        if model is None or (model.serving == version and model.loaded is not loaded):  # loaded from other files
            return
        self._served[name] = model.with_withdrawal(version, Refusal(error.reason, error.detail, files))
        if model.loaded is loaded:
            self._note("withdrawn")
            self._put(await self._loader.run(self._selector.refresh, self._served[name]))

    def _forget(self, name: str) -> None:
        """Stop serving a model that has left the store; if the name returns, its numbers may mean other versions."""
        del self._served[name]
        self._loader.forget_all_but(frozenset(self._served))
        logger.warning("model %s left the store", name)

    def _put(self, model: ServedModel) -> None:
        """Install the new state of a model by one assignment, so that every request sees one version."""
        known = self._served.get(model.name, ServedModel(model.name))
        self._served[model.name] = model
        self._loader.trim(self._serving_versions())
        for version, refusal in model.refused.items():
            if known.refused.get(version) != refusal:
                self._note("refused")
        if (loaded := model.loaded) and loaded is not known.loaded:
            what = (model.name, loaded.schema.version, loaded.device, loaded.load_s)
            logger.info("%s serves version %d on %s, loaded in %.2f s", *what)
            self._note("served")
            self.swapped.set()

    async def _load_on_demand(self, name: str, version: int) -> LoadedModel | Refusal:
        """Load a requested version, or record why it is refused."""
        model = self.get(name)
        outcome = await self._loader.run(self._find_and_load, name, version)
        self._served[name] = model.with_trial_result(version, outcome)
        self._loader.trim(self._serving_versions())
        return outcome

    def _serving_versions(self) -> frozenset[LoadedModel]:
        return frozenset(model.loaded for model in self._served.values() if model.loaded)

    def _find_and_load(self, name: str, version: int) -> LoadedModel | Refusal:
        return self._selector.try_load(self.stored.find(name, version))
