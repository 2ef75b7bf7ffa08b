"""The states of all models in one serving process, in memory.

A state is replaced as a whole, so that every request sees one version. So is the table of them: any thread may read it,
and the event loop alone may change it. This module must not access the disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from app.registry.errors import ModelNotFound, ModelNotReady
from app.registry.loader import Loader
from app.registry.state import ServedModel
from app.runtime.load import LoadedModel

logger = logging.getLogger(__name__)


class ServedModels:
    """The models of the store, each with the version that serves it and its shadow.

    Attributes:
        shadows: the shadow of each serving version that has one; the same object for ever, for the hot path.
        swapped: set after each swap; the task that waits for it clears it.
    """

    def __init__(self, loader: Loader, note: Callable[[str], None]) -> None:
        """Create it without models; `note` gets the result of each swap, `served` or `refused`."""
        self._loader, self._note = loader, note
        self._by_name: dict[str, ServedModel] = {}
        self.shadows: dict[LoadedModel, LoadedModel] = {}
        self.swapped = asyncio.Event()

    def names(self) -> tuple[str, ...]:
        """Return the names of all models, sorted."""
        return tuple(sorted(self._by_name))

    def models(self) -> tuple[ServedModel, ...]:
        """Return all models, by name; those that are forgotten afterwards, too."""
        by_name = self._by_name  # one table, although another may take its place meanwhile
        return tuple(by_name[name] for name in sorted(by_name))

    def find(self, name: str) -> ServedModel | None:
        """Return the state of a model, or None if there is none of that name."""
        return self._by_name.get(name)

    def get(self, name: str) -> ServedModel:
        """Return the state of a model.

        Raises:
            ModelNotFound.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise ModelNotFound(self.names()) from None

    def active(self, name: str) -> LoadedModel:
        """Return the version that serves a model now; on the hot path, so without disk access or waiting.

        Raises:
            ModelNotFound, ModelNotReady.
        """
        model = self.get(name)
        if model.loaded is None:
            raise ModelNotReady(name, model.reason or "it is being loaded")
        return model.loaded

    def versions_in_use(self) -> frozenset[LoadedModel]:
        """Return the versions that serve, and their shadows."""
        return frozenset(model.loaded for model in self._by_name.values() if model.loaded).union(self.shadows.values())

    def put(self, model: ServedModel) -> None:
        """Install the new state of a model by one assignment, and tell of new refusals and of a swap."""
        known = self._by_name.get(model.name, ServedModel(model.name))
        self.record(model)
        for version, refusal in model.refused.items():
            if known.refused.get(version) != refusal:
                self._note("refused")
        if (loaded := model.loaded) and loaded is not known.loaded:
            what = (model.name, loaded.schema.version, loaded.engine, loaded.load_s)
            logger.info("%s serves version %d on %s, loaded in %.2f s", *what)
            self._note("served")
            self.swapped.set()

    def record(self, model: ServedModel) -> None:
        """Install the new state of a model as `put` does, and tell nothing."""
        self._by_name = {**self._by_name, model.name: model}
        self._update_shadows()
        self._loader.trim(self.versions_in_use())

    def forget(self, name: str) -> None:
        """Stop serving a model that has left the store; if the name returns, its numbers may mean other versions."""
        self._by_name = {known: model for known, model in self._by_name.items() if known != name}
        self._update_shadows()
        self._loader.forget_all_but(frozenset(self._by_name))
        logger.warning("model %s left the store", name)

    def _update_shadows(self) -> None:
        self.shadows.clear()
        self.shadows.update((model.loaded, model.shadow) for model in self.models() if model.loaded and model.shadow)
