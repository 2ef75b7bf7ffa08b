"""Loads versions, and keeps those that were loaded lately; it must not know which of them serves.

What takes time happens in one thread, which steps back behind the event loop's. One thing at a time may change what is
kept, and trims it when it is done; `recent` may be asked at any time.
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

from app.runtime.load import LoadedModel
from modelstore import BrokenVersion, ModelVersion

logger = logging.getLogger(__name__)

BACKGROUND_NICENESS = 10

Load = Callable[[ModelVersion], LoadedModel]
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Recent:
    """A version that was loaded lately, the files it was loaded from, and those that were looked at last."""

    fingerprint: tuple[int, ...]
    loaded: LoadedModel
    seen: tuple[int, ...]


class Loader:
    """The loader's thread, and the versions that it keeps."""

    def __init__(self, load: Load, max_versions: int) -> None:
        self._load = load
        self._max_versions = max_versions
        self._recent: OrderedDict[tuple[str, int], _Recent] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loader", initializer=_step_back)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    async def aside(self, work: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Do work in the thread, in the context of whoever wants it."""
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(run, work, *arguments, **named))

    def load(self, found: ModelVersion) -> LoadedModel:
        """Return a version that was loaded lately if its files are the same, else load it; going back is quick.

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

    def drop_outdated(self, name: str, stored: Mapping[int, ModelVersion]) -> tuple[int, ...]:
        """Drop the versions of a model that left the store, or whose number means another version there by now.

        Returns:
            Those of the second kind, said in the log.
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

    def keeps(self, loaded: LoadedModel) -> bool:
        """Tell whether a version is kept: whether it is what the store has under its number, as of the last look."""
        recent = self._recent.get((loaded.contract.name, loaded.contract.version))
        return recent is not None and recent.loaded is loaded

    def _is_stored(self, found: ModelVersion) -> bool:
        """Tell whether a version that is kept is the one in the store, by the content if the files are others.

        Damage makes no other version: what was loaded is still what was published.
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
        """Drop what was not wanted for longest, if too many are kept; those that serve stay, and do not count."""
        others = [key for key, recent in self._recent.items() if recent.loaded not in serving]
        for key in others[: max(0, len(others) - self._max_versions)]:
            del self._recent[key]

    def recent(self, name: str, version: int) -> LoadedModel | None:
        """Return a version if it is loaded."""
        found = self._recent.get((name, version))
        if found is None:
            return None
        with contextlib.suppress(KeyError):  # dropped this moment; it still answers this one request
            self._recent.move_to_end((name, version))
        return found.loaded

    def kept(self) -> tuple[LoadedModel, ...]:
        """Return the versions that are loaded."""
        return tuple(recent.loaded for recent in self._recent.values())

    def forget(self, name: str, version: int) -> None:
        """Drop a version: who wants it again gets what lies on the disk then."""
        self._recent.pop((name, version), None)

    def forget_all_but(self, names: frozenset[str]) -> None:
        """Drop the versions of all other models: should one come back, its numbers may mean other versions."""
        for key in [key for key in self._recent if key[0] not in names]:
            del self._recent[key]


def _step_back() -> None:
    """Let the calling thread have the processor when no other thread of the service wants it, where that can be."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICENESS)
