"""Test the loaded versions again while they serve, and withdraw one that answers otherwise.

This module must not know how a version is checked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from app.registry.loader import Loader
from app.registry.priority_lock import PriorityLock
from app.registry.selection import VersionSelector
from app.registry.served import ServedModels
from app.registry.state import Refusal
from app.runtime.errors import VersionRefused
from app.runtime.load import LoadedModel

logger = logging.getLogger(__name__)


class SelfTest:
    """Checks every loaded version against its golden rows again."""

    def __init__(
        self,
        served: ServedModels,
        loader: Loader,
        selector: VersionSelector,
        lock: PriorityLock,
        *,
        check: Callable[[LoadedModel], None],
        note: Callable[[str], None],
    ) -> None:
        """Create it.

        Args:
            served: the models, of which versions are withdrawn.
            loader: has the versions that are loaded, and the thread in which they are checked.
            selector: finds the version that takes the place of a withdrawn one.
            lock: the lock of the loader.
            check: compares a version with its golden rows; raises VersionRefused.
            note: called with `withdrawn` for each version that served and is withdrawn.
        """
        self._served, self._loader, self._selector, self._lock = served, loader, selector, lock
        self._check, self._note = check, note

    async def run(self) -> None:
        """Check every loaded version; withdraw one that fails.

        Another version that passes verification takes its place. If none does, the model stops serving: no answer is
        better than a wrong one.
        """
        for loaded in self._loaded():
            async with self._lock.for_change():  # one lock per version: an activation waits for one test at most
                if loaded in self._loaded():
                    await self._test(loaded)

    def _loaded(self) -> frozenset[LoadedModel]:
        return self._served.versions_in_use().union(self._loader.list_cached())

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
        model = self._served.find(name)
        if model is None or (model.serving == version and model.loaded is not loaded):  # loaded from other files
            return
        self._served.record(model.with_withdrawal(version, Refusal(error.reason, error.detail, files)))
        if model.loaded is loaded:
            self._note("withdrawn")
            self._served.put(await self._loader.run(self._selector.refresh, self._served.get(name)))
