"""Select the version of a model that should serve.

That is the version that the store calls active or, if it fails verification, the best one that passes. This module
must not know requests.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from app.registry.loader import Loader
from app.registry.shadow import ShadowSelector
from app.registry.state import Refusal, ServedModel
from modelstore import BrokenVersion, ModelRepository, ModelVersion, StoreError

logger = logging.getLogger(__name__)


class VersionSelector:
    """Select and load the version that should serve; every method blocks, so call it in the loader thread."""

    def __init__(self, repository: ModelRepository, loader: Loader, note: Callable[[str], None]) -> None:
        """Create it; `note` gets `replaced` for a loaded version whose number now means another one in the store."""
        self._repository = repository
        self._loader = loader
        self._note = note
        self._complaints: dict[str, str] = {}
        self._shadows = ShadowSelector(repository, loader)

    def try_refresh(self, known: ServedModel) -> ServedModel | None:
        """Return the result of `refresh`, or None if the model's folder cannot be read.

        Other models are therefore not affected. Each such error is logged once, not at every refresh.
        """
        try:
            model = self.refresh(known)
        except (OSError, StoreError) as error:
            if self._complaints.get(known.name) != str(error):
                logger.error("the folder of model %s cannot be read: %s", known.name, error)
            self._complaints[known.name] = str(error)
            return None
        self._complaints.pop(known.name, None)
        return model

    def refresh(self, known: ServedModel) -> ServedModel:
        """Return the model in the state that the store asks for, or as close to it as verified versions allow.

        Versions that were removed from the store or replaced there are forgotten; one that serves continues until
        another passes verification.
        """
        return self._shadows.with_shadow(self._with_serving(known))

    def with_shadow(self, model: ServedModel) -> ServedModel:
        """Return the model with the shadow that the store asks for, see `ShadowSelector`."""
        return self._shadows.with_shadow(model)

    def _with_serving(self, known: ServedModel) -> ServedModel:
        """Return the model served by the version that the store asks for, else by the best that passes verification."""
        stored = {
            version: self._repository.find(known.name, version) for version in self._repository.versions(known.name)
        }
        refused = {v: r for v, r in known.refused.items() if v in stored and r.fingerprint == stored[v].fingerprint()}
        active = self._repository.active(known.name)
        for _ in self._loader.drop_outdated(known.name, stored):
            self._note("replaced")
        model = replace(known, active=active, refused=refused)
        outdated = model.loaded if model.loaded and not self._loader.caches(model.loaded) else None
        if outdated and (found := stored.get(outdated.schema.version)):
            model = self._try(model, found)
        if model.loaded and (model.serving == active or (active is None and model.loaded is not outdated)):
            return model
        if active in stored:
            model = self._try(model, stored[active])
        return model if model.loaded and model.loaded is not outdated else self._use_stand_in(model, stored)

    def _use_stand_in(self, model: ServedModel, stored: Mapping[int, ModelVersion]) -> ServedModel:
        """Return the model served by the first version that passes verification; else add the refusals only."""
        before = model.loaded
        for candidate in _newest_first(stored.values()):
            if model.loaded is before:
                model = self._try(model, candidate)
        return model

    def _try(self, model: ServedModel, found: ModelVersion) -> ServedModel:
        """Return the model served by this version, or with its refusal added."""
        if found.version in model.refused:
            return model
        outcome = self._loader.try_load(found)
        if isinstance(outcome, Refusal):
            return model.with_refusal(found.version, outcome)
        return model.with_version(outcome)


def _newest_first(stored: Iterable[ModelVersion]) -> list[ModelVersion]:
    """Order the fallback versions: newest first, but those that a gate held back come last."""

    def was_held_back(found: ModelVersion) -> bool:
        """Return whether a gate held this version back; one that cannot be read has no gate."""
        try:
            gate = found.manifest().gate
        except BrokenVersion:
            return False
        return gate is not None and not gate.passed

    return sorted(stored, key=lambda found: (was_held_back(found), -found.version))
