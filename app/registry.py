"""Which version of which model serves now: a cache in memory of what the store on disk says; no HTTP, no torch.

The disk is the truth. `refresh` looks at it; a version that should serve is loaded and proved off the event loop and
then put in place by one assignment, so every request sees exactly one version and none waits for a swap.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ParamSpec, TypeVar

import modelstore
from app.errors import (
    ModelNotFound,
    ModelNotReady,
    NotComparable,
    StoreUnavailable,
    VersionInUse,
    VersionNotFound,
    VersionRefused,
)
from app.processes import step_back
from app.runtime import LoadedModel
from modelstore import BrokenVersion, ModelRepository, ModelVersion, VersionComparison

logger = logging.getLogger(__name__)

Load = Callable[[ModelVersion], LoadedModel]
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a version may not serve; forgotten when its files change.

    Attributes:
        reason: stable code, such as `integrity_sha256`.
        detail: one sentence for people.
    """

    reason: str
    detail: str
    fingerprint: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Recent:
    """A version that was loaded lately, and the files it was loaded from."""

    fingerprint: tuple[int, ...]
    loaded: LoadedModel


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What is known about one model; replaced as a whole when anything changes.

    Attributes:
        wanted: the version that the store calls active.
        loaded: the version that serves, if any can.
        refused: the versions that were tried and did not prove themselves.
    """

    name: str
    wanted: int | None = None
    loaded: LoadedModel | None = None
    refused: dict[int, Refusal] = field(default_factory=dict)

    @property
    def serving(self) -> int | None:
        """Return the number of the version that serves."""
        return self.loaded.contract.version if self.loaded else None

    @property
    def reason(self) -> str | None:
        """Return why the wanted version is not the one that serves, or None if all is well."""
        if self.wanted is None:
            return "no version was activated"
        if self.serving == self.wanted:
            return None
        refusal = self.refused.get(self.wanted)
        return f"{refusal.reason}: {refusal.detail}" if refusal else f"version {self.wanted} is not in the store"


class ModelRegistry:
    """Model name to the version that serves it now."""

    def __init__(self, repository: ModelRepository, load: Load, max_loaded_versions: int) -> None:
        self._repository = repository
        self._load = load
        self._max_loaded_versions = max_loaded_versions
        self._served: dict[str, ServedModel] = {}
        self._recent: OrderedDict[tuple[str, int], _Recent] = OrderedDict()
        self._changing = asyncio.Lock()
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loader", initializer=step_back)

    def close(self) -> None:
        """End the loader's thread."""
        self._loader.shutdown()

    @property
    def ready(self) -> bool:
        """Whether there is a model, and every model has a version that serves."""
        return bool(self._served) and all(model.loaded for model in self._served.values())

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
            ModelNotFound, VersionNotFound, VersionRefused.
        """
        model = self.get(name)
        if model.loaded and model.serving == version:
            return model.loaded
        key = (name, version)
        if key not in self._recent:
            async with self._changing:
                return await self._aside(self._find_and_load, name, version)
        self._recent.move_to_end(key)
        return self._recent[key].loaded

    async def refresh(self) -> None:
        """Look at the store: load, prove and put in place what became active, forget what was removed."""
        async with self._changing:
            names = await self._aside(self._repository.names)
            for name in names:
                known = self._served.get(name, ServedModel(name))
                try:
                    self._served[name] = await self._aside(self._refreshed, known)
                except (OSError, modelstore.StoreError):  # of this model's folder; the others must not suffer
                    logger.exception("the folder of model %s cannot be read", name)
            for name in set(self._served).difference(names):
                del self._served[name]
                logger.warning("model %s left the store", name)
            for key in [key for key in self._recent if key[0] not in self._served]:
                del self._recent[key]  # should the model come back, its numbers may mean other versions

    async def activate(self, name: str, version: int) -> ServedModel:
        """Prove a version here, make it the active one on disk, and serve it; also the way to roll back.

        Raises:
            ModelNotFound, VersionNotFound, StoreUnavailable.
            VersionRefused: if it does not prove itself; the version that serves now keeps serving.
        """
        self.get(name)
        async with self._changing:
            loaded = await self._aside(self._find_and_load, name, version)
            try:
                await self._aside(self._repository.activate, name, version)
            except modelstore.PublishError as error:
                raise StoreUnavailable(f"the model store cannot be written now: {error.reason}") from error
            self._served[name] = _serve(replace(self._served[name], wanted=version), loaded)
            return self._served[name]

    async def remove(self, name: str, version: int) -> None:
        """Remove a version from the store for good.

        Raises:
            ModelNotFound, VersionNotFound, StoreUnavailable.
            VersionInUse: if it is the active one, or serves here.
        """
        self.get(name)
        async with self._changing:
            if self.get(name).serving == version:
                raise VersionInUse(name, version)
            await self._aside(self._remove, name, version)
            self._recent.pop((name, version), None)

    def compare(self, name: str, versions: tuple[int, int]) -> VersionComparison:
        """Compare two versions on the test rows that both were measured on; reads the disk.

        Raises:
            ModelNotFound, VersionNotFound.
            NotComparable: if they were tested on other rows, or one cannot be read.
        """
        first, second = (self.find(name, version) for version in versions)
        try:
            return modelstore.compare_versions(first, second)
        except (modelstore.NotComparable, BrokenVersion) as error:
            raise NotComparable(str(error)) from error

    def previous(self, name: str) -> int | None:
        """Return the version that was active before the active one; reads the disk.

        Raises:
            ModelNotFound.
        """
        return self._repository.previous(self.get(name).name)

    def versions(self, name: str) -> tuple[int, ...]:
        """Return the published versions of a model, ascending; reads the disk.

        Raises:
            ModelNotFound.
        """
        return self._repository.versions(self.get(name).name)

    def find(self, name: str, version: int) -> ModelVersion:
        """Return a published version, unread; reads the disk.

        Raises:
            ModelNotFound, VersionNotFound.
        """
        try:
            return self._repository.find(self.get(name).name, version)
        except (modelstore.UnknownVersion, modelstore.UnknownModel, modelstore.InvalidName) as error:
            raise VersionNotFound(name, self._repository.versions(name)) from error

    async def _aside(self, work: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Do work in the loader's thread, which steps back behind the event loop's."""
        return await asyncio.get_running_loop().run_in_executor(self._loader, partial(work, *arguments, **named))

    def _remove(self, name: str, version: int) -> None:
        self.find(name, version)
        try:
            self._repository.remove(name, version)
        except modelstore.VersionInUse as error:
            raise VersionInUse(name, version) from error
        except modelstore.UnknownVersion as error:  # removed by another process meanwhile
            raise VersionNotFound(name, self._repository.versions(name)) from error
        except modelstore.PublishError as error:
            raise StoreUnavailable(f"the model store cannot be written now: {error.reason}") from error

    def _find_and_load(self, name: str, version: int) -> LoadedModel:
        return self._load_or_recall(self.find(name, version))

    def _load_or_recall(self, found: ModelVersion) -> LoadedModel:
        """Return a version that was loaded lately if its files are the same, else load it; going back is quick."""
        key, fingerprint = (found.name, found.version), found.fingerprint()
        recent = self._recent.get(key)
        if recent is None or recent.fingerprint != fingerprint:
            recent = _Recent(fingerprint, self._load(found))
            self._recent[key] = recent
            while len(self._recent) > self._max_loaded_versions:
                self._recent.popitem(last=False)
        return recent.loaded

    def _refreshed(self, known: ServedModel) -> ServedModel:
        """Return the model as the store wants it now, or as near to that as proved versions allow."""
        stored = {
            version: self._repository.find(known.name, version) for version in self._repository.versions(known.name)
        }
        refused = {v: r for v, r in known.refused.items() if v in stored and r.fingerprint == stored[v].fingerprint()}
        wanted = self._repository.active(known.name)
        model = replace(known, wanted=wanted, refused=refused)
        if model.serving is not None and wanted in (model.serving, None):
            return model
        if wanted in stored:
            model = self._try(model, stored[wanted])
        for candidate in () if model.loaded else _newest_first(tuple(stored.values())):
            if not model.loaded:
                model = self._try(model, candidate)
        return model

    def _try(self, model: ServedModel, found: ModelVersion) -> ServedModel:
        """Return the model serving the version, or unchanged but for one more refusal."""
        if found.version in model.refused:
            return model
        fingerprint = found.fingerprint()
        try:
            return _serve(model, self._load_or_recall(found))
        except VersionRefused as error:
            logger.error("%s", error)
            refusal = Refusal(error.reason, error.detail, fingerprint)
            return replace(model, refused={**model.refused, found.version: refusal})


def _serve(model: ServedModel, loaded: LoadedModel) -> ServedModel:
    version = loaded.contract.version
    logger.info("%s serves version %d on %s, loaded in %.2f s", model.name, version, loaded.device, loaded.load_s)
    return replace(model, loaded=loaded, refused={v: r for v, r in model.refused.items() if v != version})


def _newest_first(stored: tuple[ModelVersion, ...]) -> list[ModelVersion]:
    """Order the versions to fall back to: newest first, but those that a gate held back last."""

    def held_back(found: ModelVersion) -> bool:
        try:
            gate = found.manifest().gate
        except BrokenVersion:
            return False
        return gate is not None and not gate.passed

    return sorted(stored, key=lambda found: (held_back(found), -found.version))
