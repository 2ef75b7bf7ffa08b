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

from app.registry.errors import VersionInUse
from app.registry.loader import Loader
from app.registry.on_demand import OnDemandLoads
from app.registry.priority_lock import PriorityLock
from app.registry.selection import VersionSelector
from app.registry.self_test import SelfTest
from app.registry.served import ServedModels
from app.registry.shadow import require_fit
from app.registry.state import Refusal, ServedModel
from app.registry.store import ModelStore
from app.runtime.load import LoadedModel
from modelstore import ModelRepository
from modelstore.names import RESERVED

logger = logging.getLogger(__name__)


class ModelRegistry:
    """Map each model name to the version that serves it now.

    Attributes:
        stored: the versions on disk of the models that the registry knows.
        get: returns the state of a model, see `ServedModels.get`.
        models: returns all models of the store, by name.
        active: returns the version that serves a model now; `ServedModels.active` itself, for the hot path.
        shadows: see `ServedModels`, as for `swapped`.
        swapped: set after each swap; the task that waits for it clears it.
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
        self._served = served = ServedModels(loader, note)
        self.get, self.models, self.active = served.get, served.models, served.active
        self.shadows, self.swapped = served.shadows, served.swapped
        self.stored = ModelStore(repository, known=self.get)
        self._loader, self._strict, self._note = loader, strict, note
        self._selector = VersionSelector(repository, loader, note)
        self._lock = PriorityLock()
        self._on_demand = OnDemandLoads(self._load_on_demand, self._lock)
        self._self_test = SelfTest(served, loader, self._selector, self._lock, check=check, note=note)

    def close(self) -> None:
        """Cancel the loads on request and stop the loader thread."""
        self._on_demand.close()
        self._loader.close()

    @property
    def complete(self) -> bool:
        """Whether there is at least one model and every model has a serving version."""
        models = self.models()
        return bool(models) and all(model.loaded for model in models)

    @property
    def ready(self) -> bool:
        """Whether the service should receive requests: one serving model is enough, unless `strict` requires all."""
        return self.complete or (not self._strict and any(model.loaded for model in self.models()))

    async def resolve(self, name: str, version: int) -> LoadedModel:
        """Return a version by its number; load it first if necessary.

        Raises:
            ModelNotFound, VersionNotFound, TooManyLoads.
            VersionRefused: if it fails verification, or failed it before and its files are unchanged.
        """
        self.get(name)
        if (recent := self._loader.find_cached(name, version)) is not None:
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
            for name in RESERVED.intersection(names).difference(self._served.names()):
                logger.warning("GET /v2/models/%s cannot show the model %s; publish it under another name", name, name)
            for name in names:
                known = self._served.find(name) or ServedModel(name)
                if model := await self._loader.run(self._selector.try_refresh, known):
                    self._served.put(model)
            for name in set(self._served.names()).difference(names):
                self._served.forget(name)

    async def activate(self, name: str, version: int) -> ServedModel:
        """Verify a version, make it the active one on disk, and serve it; also used to roll back.

        Raises:
            ModelNotFound, VersionNotFound, StoreUnavailable.
            VersionRefused: if it fails verification; the version that serves now keeps serving.
        """
        return await self._activate(name, version, self.stored.activate)

    async def promote(self, name: str, version: int, active: int) -> ServedModel:
        """Activate the shadow of a version in its place, as `activate` does, unless another process was quicker.

        Raises:
            NotShadow: if another version is active now, or has become the shadow; otherwise as `activate`.
        """
        return await self._activate(name, version, lambda *_: self.stored.promote(name, version, active))

    async def start_shadow(self, name: str, version: int) -> ServedModel:
        """Verify a version and make it the shadow of the active one, in place of another.

        Raises:
            ModelNotFound, VersionNotFound, StoreUnavailable.
            VersionRefused: if it fails verification.
            UnfitShadow: if it is active, takes other columns or answers something else, or no active version serves.
        """
        self.get(name)
        async with self._lock.for_change():
            outcome = await self._loader.run(self._find_and_load, name, version)
            if isinstance(outcome, Refusal):
                raise outcome.error(name, version)
            model = self.get(name)
            require_fit(model, outcome)
            await self._loader.run(self.stored.start_shadow, name, version)
            self._served.put(await self._loader.run(self._selector.with_shadow, model))
            return self.get(name)

    async def end_shadow(self, name: str, version: int) -> None:
        """Leave the active version without a shadow.

        Raises:
            ModelNotFound, NotShadow, StoreUnavailable.
        """
        self.get(name)
        async with self._lock.for_change():
            await self._loader.run(self.stored.end_shadow, name, version)
            self._served.put(await self._loader.run(self._selector.with_shadow, self.get(name)))

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
            self._served.put(await self._loader.run(self._selector.with_shadow, self.get(name)))

    async def remove_model(self, name: str) -> None:
        """Remove a model with all its versions from the store permanently; it stops serving.

        Raises:
            ModelNotFound, StoreUnavailable.
        """
        self.get(name)
        async with self._lock.for_change():
            await self._loader.run(self.stored.remove_model, name)
            self._served.forget(name)

    async def self_test(self) -> None:
        """Check every loaded version against its golden rows again; withdraw a version that fails, see `SelfTest`."""
        await self._self_test.run()

    async def _activate(self, name: str, version: int, record: Callable[[str, int], None]) -> ServedModel:
        """Verify a version, record that it is active, and serve it."""
        self.get(name)
        async with self._lock.for_change():
            outcome = await self._loader.run(self._find_and_load, name, version)
            if isinstance(outcome, Refusal):
                self._note("refused")
                raise outcome.error(name, version)
            await self._loader.run(record, name, version)
            model = replace(self.get(name), active=version).with_version(outcome)
            self._served.put(await self._loader.run(self._selector.with_shadow, model))
            return self.get(name)

    async def _load_on_demand(self, name: str, version: int) -> LoadedModel | Refusal:
        """Load a requested version, or record why it is refused."""
        model = self.get(name)
        outcome = await self._loader.run(self._find_and_load, name, version)
        self._served.record(model.with_trial_result(version, outcome))
        return outcome

    def _find_and_load(self, name: str, version: int) -> LoadedModel | Refusal:
        return self._loader.try_load(self.stored.find(name, version))
