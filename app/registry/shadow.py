"""Select the shadow of a model: a version that is only compared with the active one.

A version that cannot be it is left out with a warning and changes no answer. This module must not know requests.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from app.registry.errors import UnfitShadow
from app.registry.loader import Loader
from app.registry.state import Refusal, ServedModel
from app.runtime.load import LoadedModel
from modelstore import ModelRepository, StoreError
from modelstore.shadow import why_unfit

logger = logging.getLogger(__name__)


class ShadowSelector:
    """Select and load shadows; its method blocks, so call it in the loader thread."""

    def __init__(self, repository: ModelRepository, loader: Loader) -> None:
        self._repository = repository
        self._loader = loader
        self._complaints: dict[str, str] = {}

    def with_shadow(self, model: ServedModel) -> ServedModel:
        """Return the model with the shadow that the store names.

        If that version cannot be its shadow, the model has none, and the reason is logged once.
        """
        wanted, shadow, problem = self._repository.shadow(model.name), None, None
        if model.loaded and wanted not in (None, model.active) and model.serving == model.active:
            model, shadow, problem = self._load(model, wanted)
            if model.loaded and shadow and (problem := why_unfit(model.loaded.manifest, shadow.manifest)):
                shadow = None
        if problem is None:
            self._complaints.pop(model.name, None)
        elif self._complaints.get(model.name) != problem:
            logger.warning("%s version %d is no shadow: it %s", model.name, wanted, problem)
            self._complaints[model.name] = problem
        return replace(model, shadow=shadow)

    def _load(self, model: ServedModel, wanted: int) -> tuple[ServedModel, LoadedModel | None, str | None]:
        """Return the model with a new refusal, if any; the version, if it can be used; and why it cannot."""
        if model.shadow and model.shadow_version == wanted and self._loader.caches(model.shadow):
            return model, model.shadow, None
        if wanted not in model.refused:
            try:
                outcome = self._loader.try_load(self._repository.find(model.name, wanted))
            except StoreError:
                return model, None, "is not in the store"
            if not isinstance(outcome, Refusal):
                return model, outcome, None
            model = model.with_refusal(wanted, outcome)
        return model, None, f"failed its checks: {model.refused[wanted].detail}"


def require_fit(model: ServedModel, shadow: LoadedModel) -> None:
    """Check that a version may be the shadow of a model's active version.

    Raises:
        UnfitShadow.
    """
    version = shadow.schema.version
    if version == model.active:
        raise UnfitShadow(model.name, version, "it is the active version")
    if model.loaded is None or model.serving != model.active:
        raise UnfitShadow(model.name, version, "no active version serves, with which it could be compared")
    if problem := why_unfit(model.loaded.manifest, shadow.manifest):
        raise UnfitShadow(model.name, version, f"it {problem}")
