"""Record changes that no request asks for: swapped versions, reloaded keys, refused keys.

This module must not know where the state comes from; it is passed in as callables.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable

from app.security.audit.trail import AuditTrail
from app.telemetry.model_metrics import ModelState

logger = logging.getLogger(__name__)

LOOK_S = 1.0
TOGETHER_S = 60.0  # refusals of one client within this time become one record
MAX_CLIENTS = 1000  # clients that are counted separately in that time


class Watch:
    """Looks for changes once a second and records them."""

    def __init__(
        self, trail: AuditTrail, models: Callable[[], Iterable[ModelState]], keys: Callable[[], tuple[int, bool]]
    ) -> None:
        """Create a watch; `keep` runs it.

        Args:
            trail: the audit trail.
            models: returns the current state of all models.
            keys: returns the generation of the keys, and whether they match their file.
        """
        self._trail = trail
        self._models = models
        self._keys = keys
        self._served: dict[str, ModelState] = {}
        self._known_keys: tuple[int, bool] | None = None
        self._failures: Counter[tuple[str, str, str | None]] = Counter()
        self._since = time.monotonic()

    async def keep(self) -> None:
        """Look for changes for ever; a look that fails is logged and does not stop the next one."""
        while True:
            try:
                self.look()
            except Exception:
                logger.exception("what serves could not be put on record")
            await asyncio.sleep(LOOK_S)

    def count(self, peer: str, reason: str, key_id: str | None) -> None:
        """Count a request that was refused because of its key; `key_id` is of a valid key that lacks the scope."""
        client = (peer, reason, key_id)
        if client not in self._failures and len(self._failures) >= MAX_CLIENTS:
            client = ("others", reason, None)
        self._failures[client] += 1

    def look(self) -> None:
        """Record all changes since the last look; follow the file, which may have been renamed since then."""
        self._trail.follow()
        self._look_at_models()
        self._look_at_keys()
        if time.monotonic() - self._since >= TOGETHER_S:
            self.tell_refusals()

    def tell_refusals(self) -> None:
        """Record the refusals counted so far, and reset the counts."""
        for (peer, reason, key_id), count in self._failures.items():
            self._trail.note("auth.fail", "refused", peer=peer, key=key_id, reason=reason, count=count)
        self._failures.clear()
        self._since = time.monotonic()

    def _look_at_models(self) -> None:
        served = {model.name: model for model in self._models()}
        for name in self._served.keys() - served.keys():
            self._trail.note("model.gone", "ok", model=name)
        for name, now in served.items():
            before = self._served.get(name) or ModelState(name)
            for version in now.refused.keys() - before.refused.keys():
                reason = now.refused[version]
                self._trail.note("model.refused", "refused", model=name, version=version, reason=reason)
            if now.shadow != before.shadow:
                self._trail.note("model.shadowed", "ok", model=name, version=now.shadow, version_before=before.shadow)
            if (artifact := _artifact(now)) != (artifact_before := _artifact(before)):
                told = {"version": artifact[0], "sha256": artifact[1], "version_before": artifact_before[0]}
                self._trail.note("model.swapped", "ok", model=name, **told)
        self._served = served

    def _look_at_keys(self) -> None:
        now, before = self._keys(), self._known_keys
        self._known_keys = now
        if before is not None and now != before:
            current = now[1]
            self._trail.note("keys.reload", "ok" if current else "failed", reason=None if current else "unreadable")


def _artifact(model: ModelState) -> tuple[int | None, str | None]:
    """Return number and sha256 of the serving version."""
    return (model.serving.version, model.serving.manifest.sha256) if model.serving else (None, None)
