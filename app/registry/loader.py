"""Load model versions in one background thread and cache the recent ones.

The loader must not know which version serves. Slow work runs in a single thread with a lower scheduling priority than
the event loop. Only one operation at a time may change the cache, and it trims the cache when it finishes.
`find_cached` may be called at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import ParamSpec, TypeVar

from app.registry.state import Refusal
from app.runtime.errors import VersionRefused
from app.runtime.load import LoadedModel
from modelstore import BrokenVersion, ModelVersion

logger = logging.getLogger(__name__)

BACKGROUND_NICENESS = 10

Load = Callable[[ModelVersion], LoadedModel]
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Recent:
    """A cached version, the fingerprint of the files it was loaded from, and the last fingerprint that was checked."""

    fingerprint: tuple[int, ...]
    loaded: LoadedModel
    seen: tuple[int, ...]


class Loader:
    """A loader thread and its cache of versions."""

    def __init__(self, load: Load, max_versions: int) -> None:
        self._load = load
        self._max_versions = max_versions
        self._recent: OrderedDict[tuple[str, int], _Recent] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loader", initializer=_lower_priority)

    def close(self) -> None:
        """Stop the loader thread."""
        self._thread.shutdown()

    async def run(self, work: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Run a function in the loader thread, in a copy of the caller's context."""
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(run, work, *arguments, **named))

    def load(self, found: ModelVersion) -> LoadedModel:
        """Return the cached version if its files are unchanged, else load it; so a rollback is quick.

        Raises:
            VersionRefused.
        """
        key, fingerprint = (found.name, found.version), found.fingerprint()
        recent = self._recent.get(key)
        if recent is None or recent.fingerprint != fingerprint:
            recent = _Recent(fingerprint, self._load(found), fingerprint)
            self._recent.pop(key, None)
            self._recent[key] = recent
        return recent.loaded

    def try_load(self, found: ModelVersion) -> LoadedModel | Refusal:
        """Load a version as `load` does, or return and log why it may not be used."""
        fingerprint = found.fingerprint()
        try:
            return self.load(found)
        except VersionRefused as error:
            logger.error("%s", error)
            return Refusal(error.reason, error.detail, fingerprint)

    def drop_outdated(self, name: str, stored: Mapping[int, ModelVersion]) -> tuple[int, ...]:
        """Drop cached versions of a model that the store removed or replaced by another version of the same number.

        Returns:
            The replaced versions; each is also logged.
        """
        replaced = []
        for model, version in [*self._recent]:
            if model != name or (version in stored and self._is_stored(stored[version])):
                continue
            self.forget(model, version)
            if version in stored:
                replaced.append(version)
                logger.warning("the files of %s version %d were replaced by those of another version", name, version)
        return tuple(replaced)

    def caches(self, loaded: LoadedModel) -> bool:
        """Tell whether this version is cached, so the store held it under its number at the last check."""
        recent = self._recent.get((loaded.schema.name, loaded.schema.version))
        return recent is not None and recent.loaded is loaded

    def _is_stored(self, found: ModelVersion) -> bool:
        """Tell whether a cached version is the one in the store; compare manifests if the files changed.

        Damaged files do not count as another version: the loaded one is still the one that was published.
        """
        key, fingerprint = (found.name, found.version), found.fingerprint()
        recent = self._recent[key]
        if fingerprint in (recent.fingerprint, recent.seen):
            return True
        try:
            if found.verify() != recent.loaded.manifest:
                return False
            self._recent[key] = replace(recent, fingerprint=fingerprint, seen=fingerprint)
        except BrokenVersion as error:
            logger.warning("%s; what was loaded before still answers", error)
            self._recent[key] = replace(recent, seen=fingerprint)
        return True

    def trim(self, serving: frozenset[LoadedModel]) -> None:
        """Drop the least recently used versions beyond the limit; serving versions stay and do not count."""
        others = [key for key, recent in self._recent.items() if recent.loaded not in serving]
        for key in others[: max(0, len(others) - self._max_versions)]:
            del self._recent[key]

    def find_cached(self, name: str, version: int) -> LoadedModel | None:
        """Return a version if it is cached, and mark it as used."""
        found = self._recent.get((name, version))
        if found is None:
            return None
        with contextlib.suppress(KeyError):  # dropped concurrently; it still answers this request
            self._recent.move_to_end((name, version))
        return found.loaded

    def list_cached(self) -> tuple[LoadedModel, ...]:
        """Return all cached versions."""
        return tuple(recent.loaded for recent in self._recent.values())

    def forget(self, name: str, version: int) -> tuple[int, ...]:
        """Drop a version, so that the next load reads it from disk.

        Returns:
            Fingerprint of the files that it was loaded from; empty if it was not cached.
        """
        recent = self._recent.pop((name, version), None)
        return recent.fingerprint if recent else ()

    def forget_all_but(self, names: frozenset[str]) -> None:
        """Drop the versions of all other models."""
        for key in [key for key in self._recent if key[0] not in names]:
            del self._recent[key]


def _lower_priority() -> None:
    """Lower the scheduling priority of the calling thread, where the system allows it."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICENESS)
