"""Promote shadow versions, on request or by themselves, once labels show they are better.

This module must not know HTTP, or how the labels came.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from app.errors import ServingError
from app.feedback.errors import NotBetter
from app.feedback.sequential import Pairs, describe, evidence, judge
from app.jobs.runner import JobRunner
from app.registry.errors import NotShadow
from app.registry.registry import ModelRegistry
from app.registry.state import ServedModel

logger = logging.getLogger(__name__)

Note = Callable[..., None]


class Promotions:
    """Decides from labelled rows whether a shadow takes the place of the active version."""

    def __init__(self, runner: JobRunner, registry: ModelRegistry, note: Note) -> None:
        """Create it; `note` writes into the audit trail: action, outcome, and fields by name."""
        self._runner, self._registry, self._note = runner, registry, note

    async def pairs(self, model: str, active: int, shadow: int) -> Pairs:
        """Return the discordant pairs of a version and its shadow.

        Raises:
            StoreUnavailable.
        """
        return Pairs(*await self._runner.ask(self._runner.shadow_answers.pairs, model, active, shadow))

    async def promote(self, model: str, version: int) -> ServedModel:
        """Activate the shadow if it is better than the active version.

        Raises:
            ModelNotFound, VersionNotFound, VersionRefused, StoreUnavailable.
            NotShadow: if this version is not the shadow.
            NotBetter: if labels do not show that it is better; with the figures in words.
        """
        served = self._registry.get(model)
        if served.active is None or version != served.shadow_version:
            raise NotShadow(model, version, served.shadow_version)
        pairs = await self.pairs(model, served.active, version)
        if judge(pairs) != "better":
            raise NotBetter(model, version, describe(pairs))
        return await self._registry.promote(model, version, served.active)

    async def promote_better(self, models: Iterable[str]) -> None:
        """Promote the shadows of these models that were trained to be promoted by themselves, and are better.

        An error is logged: the labels are kept, and the next ones bring the next look.
        """
        for model in models:
            try:
                await self._promote_if_better(model)
            except ServingError as error:
                logger.warning("the shadow of %s could not be promoted: %s", model, error)

    async def _promote_if_better(self, model: str) -> None:
        served = self._registry.get(model)
        shadow, active = served.shadow, served.active
        if shadow is None or active is None or not promotes_itself(served):
            return
        version = shadow.schema.version
        pairs = await self.pairs(model, active, version)
        if judge(pairs) != "better":
            return
        try:
            await self._registry.promote(model, version, active)
        except NotShadow:  # another process was quicker, or somebody activated another version
            return
        logger.info("%s version %d takes the place of version %d: %s", model, version, active, describe(pairs))
        reason = f"better on {pairs.shadow} of {sum(pairs)} discordant rows, evidence {evidence(*pairs):.3g}"
        self._note("model.promoted", "ok", model=model, version=version, version_before=active, reason=reason)


def promotes_itself(served: ServedModel) -> bool:
    """Return whether the shadow of a model was trained with `if_better_live`, and became its shadow by that."""
    gate = served.shadow.manifest.gate if served.shadow else None
    return bool(gate and gate.shadow)
