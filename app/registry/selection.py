"""Which version of a model should serve: the one that the store wants, or as near as proved ones come; no requests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from app.errors import VersionRefused
from app.registry.loader import Loader
from app.registry.state import Refusal, ServedModel
from app.runtime.load import LoadedModel
from modelstore import BrokenVersion, ModelRepository, ModelVersion, StoreError

logger = logging.getLogger(__name__)


class Chooser:
    """Looks at the store and loads what should serve; every method blocks, so call it in the loader's thread."""

    def __init__(self, repository: ModelRepository, loader: Loader, note: Callable[[str], None]) -> None:
        """Store the parts.

        Args:
            repository: the store.
            loader: what loads versions, and keeps them.
            note: called with `replaced` for each version that was loaded and is another one in the store by now.
        """
        self._repository = repository
        self._loader = loader
        self._note = note
        self._complaints: dict[str, str] = {}

    def looked_at(self, known: ServedModel) -> ServedModel | None:
        """Return `refreshed`, or None if the model's folder cannot be read; the others must not suffer.

        That is said in the log, but not at each look.
        """
        try:
            model = self.refreshed(known)
        except (OSError, StoreError) as error:
            if self._complaints.get(known.name) != str(error):
                logger.error("the folder of model %s cannot be read: %s", known.name, error)
            self._complaints[known.name] = str(error)
            return None
        self._complaints.pop(known.name, None)
        return model

    def refreshed(self, known: ServedModel) -> ServedModel:
        """Return the model as the store wants it now, or as near to that as proved versions allow.

        What left the store, or was replaced there, is forgotten; if it served, it does so until another proved itself.
        """
        stored = {
            version: self._repository.find(known.name, version) for version in self._repository.versions(known.name)
        }
        refused = {v: r for v, r in known.refused.items() if v in stored and r.fingerprint == stored[v].fingerprint()}
        wanted = self._repository.active(known.name)
        for _ in self._loader.drop_outdated(known.name, stored):
            self._note("replaced")
        model = replace(known, wanted=wanted, refused=refused)
        outdated = model.loaded if model.loaded and not self._loader.keeps(model.loaded) else None
        if outdated and (found := stored.get(outdated.contract.version)):
            model = self._try(model, found)
        if model.loaded and (model.serving == wanted or (wanted is None and model.loaded is not outdated)):
            return model
        if wanted in stored:
            model = self._try(model, stored[wanted])
        return model if model.loaded and model.loaded is not outdated else self._stand_in(model, stored)

    def tried(self, found: ModelVersion) -> LoadedModel | Refusal:
        """Load a version, or return why it may not serve, said in the log."""
        fingerprint = found.fingerprint()
        try:
            return self._loader.load(found)
        except VersionRefused as error:
            logger.error("%s", error)
            return Refusal(error.reason, error.detail, fingerprint)

    def _stand_in(self, model: ServedModel, stored: Mapping[int, ModelVersion]) -> ServedModel:
        """Return the model served by the first version that proves itself; unchanged but for refusals if none does."""
        before = model.loaded
        for candidate in _newest_first(stored.values()):
            if model.loaded is before:
                model = self._try(model, candidate)
        return model

    def _try(self, model: ServedModel, found: ModelVersion) -> ServedModel:
        """Return the model serving the version, or unchanged but for one more refusal."""
        if found.version in model.refused:
            return model
        outcome = self.tried(found)
        if isinstance(outcome, Refusal):
            return model.refusing(found.version, outcome)
        return model.with_version(outcome)


def _newest_first(stored: Iterable[ModelVersion]) -> list[ModelVersion]:
    """Order the versions to fall back to: newest first, but those that a gate held back last."""

    def held_back(found: ModelVersion) -> bool:
        try:
            gate = found.manifest().gate
        except BrokenVersion:
            return False
        return gate is not None and not gate.passed

    return sorted(stored, key=lambda found: (held_back(found), -found.version))
