"""Which version of which model serves now: a cache in memory of what the store on disk says; no HTTP, no torch.

The disk is the truth. `refresh` looks at it; a version that should serve is loaded and proved off the event loop and
then put in place by one assignment, so every request sees exactly one version and none waits for a swap.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace

from app.errors import ModelNotFound, ModelNotReady, VersionInUse, VersionNotFound, VersionRefused
from app.registry.loader import Loader
from app.registry.on_demand import AskedLoads
from app.registry.priority_lock import Turns
from app.registry.selection import Chooser
from app.registry.state import Refusal, ServedModel
from app.registry.store import Shelf
from app.runtime.load import LoadedModel
from modelstore import ModelRepository
from modelstore.names import RESERVED

logger = logging.getLogger(__name__)


class ModelRegistry:
    """Model name to the version that serves it now.

    Attributes:
        stored: the versions on disk of the models that are known here.
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
        """Store the parts.

        Args:
            repository: the store on disk.
            loader: what loads versions, and keeps them.
            check: asks a loaded version its golden rows again; raises VersionRefused.
            strict: whether one model that cannot serve is enough not to be ready.
            note: called with what became of a version that was to serve: `served`, `refused` or `withdrawn`; and
                `replaced` for one that was loaded and is another one in the store by now.
        """
        self.stored = Shelf(repository, known=self.get)
        self._loader = loader
        self._chooser = Chooser(repository, loader, note)
        self._check = check
        self._strict = strict
        self._note = note
        self._served: dict[str, ServedModel] = {}
        self._turns = Turns()
        self._asked = AskedLoads(self._load_asked, self._turns)
        self._swapped = asyncio.Event()

    def close(self) -> None:
        """End the loader's thread."""
        self._asked.close()
        self._loader.close()

    @property
    def complete(self) -> bool:
        """Whether there is a model, and every one has a version that serves."""
        return bool(self._served) and all(model.loaded for model in self._served.values())

    @property
    def ready(self) -> bool:
        """Whether requests should come here: one model that serves is enough, unless all are asked for."""
        return self.complete or (not self._strict and any(model.loaded for model in self._served.values()))

    def served(self) -> tuple[ServedModel, ...]:
        """Return all models of the store, by name."""
        return tuple(self._served[name] for name in sorted(self._served))

    def get(self, name: str) -> ServedModel:
        """Return what is known about a model.

        Raises:
            ModelNotFound.
        """
        try:
            return self._served[name]
        except KeyError:
            raise ModelNotFound(tuple(sorted(self._served))) from None

    def active(self, name: str) -> LoadedModel:
        """Return the version that serves a model now; the hot path: no disk, no waiting.

        Raises:
            ModelNotFound, ModelNotReady.
        """
        model = self.get(name)
        if model.loaded is None:
            raise ModelNotReady(name, model.reason or "it is being loaded")
        return model.loaded

    async def resolve(self, name: str, version: int) -> LoadedModel:
        """Return a version that was asked for by its number, loaded first if need be.

        Raises:
            ModelNotFound, VersionNotFound, TooManyLoads.
            VersionRefused: it does not prove itself, or did not before and its files are the same.
        """
        self.get(name)
        if (recent := self._loader.recent(name, version)) is not None:
            return recent
        self._asked.require_room(name, version)
        files = await asyncio.to_thread(self.stored.fingerprint, name, version)
        refusal = self.get(name).refused.get(version)
        if refusal is not None and refusal.fingerprint == files:
            raise refusal.error(name, version)
        outcome = await self._asked.outcome(name, version)
        if isinstance(outcome, Refusal):
            raise outcome.error(name, version)
        return outcome

    async def refresh(self) -> None:
        """Look at the store: load, prove and put in place what became active, forget what was removed or replaced."""
        async with self._turns.change():
            names = await self._loader.aside(self.stored.names)
            for name in RESERVED.intersection(names).difference(self._served):
                logger.warning("GET /v2/models/%s cannot show the model %s; publish it under another name", name, name)
            for name in names:
                known = self._served.get(name, ServedModel(name))
                if model := await self._loader.aside(self._chooser.looked_at, known):
                    self._put(model)
            for name in set(self._served).difference(names):
                del self._served[name]
                logger.warning("model %s left the store", name)
            self._loader.forget_all_but(frozenset(self._served))

    async def activate(self, name: str, version: int) -> ServedModel:
        """Prove a version here, make it the active one on disk, and serve it; also the way to roll back.

        Raises:
            ModelNotFound, VersionNotFound, StoreUnavailable.
            VersionRefused: if it does not prove itself; the version that serves now keeps serving.
        """
        self.get(name)
        async with self._turns.change():
            outcome = await self._loader.aside(self._find_and_try, name, version)
            if isinstance(outcome, Refusal):
                self._note("refused")
                raise outcome.error(name, version)
            await self._loader.aside(self.stored.activate, name, version)
            model = replace(self._served[name], wanted=version).with_version(outcome)
            self._put(model)
            return model

    async def remove(self, name: str, version: int) -> None:
        """Remove a version from the store for good.

        Raises:
            ModelNotFound, VersionNotFound, StoreUnavailable.
            VersionInUse: if it is the active one, or serves here.
        """
        self.get(name)
        async with self._turns.change():
            if self.get(name).serving == version:
                raise VersionInUse(name, version)
            await self._loader.aside(self.stored.remove, name, version)
            self._loader.forget(name, version)

    async def self_test(self) -> None:
        """Ask every loaded version its golden rows again; one that answers otherwise serves no more.

        Another version takes its place if one proves itself; if none does, no answer is better than a wrong one.
        """
        for loaded in self._serving().union(self._loader.kept()):
            async with self._turns.change():  # for each, so that an activation need not wait for all
                if loaded in self._serving().union(self._loader.kept()):
                    await self._test(loaded)

    async def keep_tested(self, interval_s: float) -> None:
        """Test after each swap and at an interval, for ever; an interval of 0 leaves the swaps."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._swapped.wait(), interval_s or None)
            self._swapped.clear()
            try:
                await self.self_test()
            except Exception:  # of the disk, when another version was looked for; the next look does so again
                logger.exception("the loaded versions could not be tested")

    async def _test(self, loaded: LoadedModel) -> None:
        try:
            await self._loader.aside(self._check, loaded)
        except VersionRefused as error:
            await self._withdraw(loaded, error)
        except Exception:  # an error is no wrong answer, and predictions show it as well
            contract = loaded.contract
            logger.exception("version %d of %s could not be tested", contract.version, contract.name)

    async def _withdraw(self, loaded: LoadedModel, error: VersionRefused) -> None:
        """Serve no more what answers wrongly; it may come back when its files change, or by being activated."""
        name, version = error.name, error.version
        logger.error("%s; it had proved itself before", error)
        self._loader.forget(name, version)
        model = self._served.get(name)
        if model is None or (model.serving == version and model.loaded is not loaded):  # of other files
            return
        files: tuple[int, ...] = ()
        with contextlib.suppress(VersionNotFound):  # removed meanwhile
            files = await self._loader.aside(self.stored.fingerprint, name, version)
        self._served[name] = model.without(version, Refusal(error.reason, error.detail, files))
        if model.loaded is loaded:
            self._note("withdrawn")
            self._put(await self._loader.aside(self._chooser.refreshed, self._served[name]))

    def _put(self, model: ServedModel) -> None:
        """Let a model be as it is now: by one assignment, so that every request sees one version."""
        known = self._served.get(model.name, ServedModel(model.name))
        self._served[model.name] = model
        self._loader.trim(self._serving())
        for version, refusal in model.refused.items():
            if known.refused.get(version) != refusal:
                self._note("refused")
        if (loaded := model.loaded) and loaded is not known.loaded:
            what = (model.name, loaded.contract.version, loaded.device, loaded.load_s)
            logger.info("%s serves version %d on %s, loaded in %.2f s", *what)
            self._note("served")
            self._swapped.set()

    async def _load_asked(self, name: str, version: int) -> LoadedModel | Refusal:
        """Load a version that was asked for by its number, or remember why it may not answer."""
        model = self.get(name)
        outcome = await self._loader.aside(self._find_and_try, name, version)
        self._served[name] = model.beside(version, outcome)
        self._loader.trim(self._serving())
        return outcome

    def _serving(self) -> frozenset[LoadedModel]:
        return frozenset(model.loaded for model in self._served.values() if model.loaded)

    def _find_and_try(self, name: str, version: int) -> LoadedModel | Refusal:
        return self._chooser.tried(self.stored.find(name, version))
