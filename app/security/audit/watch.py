"""Notices what happens without a request that asks for it: versions, keys, wrong keys; it must not know where from."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from app.security.audit.trail import AuditTrail

logger = logging.getLogger(__name__)

LOOK_S = 1.0
TOGETHER_S = 60.0  # refusals of one client are one record in this time
MAX_CLIENTS = 1000  # that are told apart in it


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves one model.

    Attributes:
        version: that answers; None if none can.
        sha256: of its artifact.
        refused: versions that did not prove themselves, and the codes why.
    """

    model: str
    version: int | None
    sha256: str | None
    refused: Mapping[int, str]


class Watch:
    """Looks once a second, and puts on record what is new."""

    def __init__(
        self,
        trail: AuditTrail,
        serving: Callable[[], Iterable[Serving]],
        keys: Callable[[], tuple[int, bool]],
    ) -> None:
        """Store the parts.

        Args:
            trail: the record.
            serving: returns what serves now.
            keys: returns the generation of the keys, and whether they are those of their file.
        """
        self._trail = trail
        self._serving = serving
        self._keys = keys
        self._served: dict[str, Serving] = {}
        self._known_keys: tuple[int, bool] | None = None
        self._failures: Counter[tuple[str, str, str | None]] = Counter()
        self._since = time.monotonic()

    async def keep(self) -> None:
        """Look for ever; a look that fails is logged, and the next one comes all the same."""
        while True:
            try:
                self.look()
            except Exception:
                logger.exception("what serves could not be put on record")
            await asyncio.sleep(LOOK_S)

    def count(self, peer: str, reason: str, key_id: str | None) -> None:
        """Count a request that was refused for its key.

        Args:
            peer: address of the client.
            reason: code of the refusal.
            key_id: of the key, if it is one, but lacks the scope.
        """
        client = (peer, reason, key_id)
        if client not in self._failures and len(self._failures) >= MAX_CLIENTS:
            client = ("others", reason, None)
        self._failures[client] += 1

    def look(self) -> None:
        """Put on record what is new since the last look."""
        self._look_at_models()
        self._look_at_keys()
        if time.monotonic() - self._since >= TOGETHER_S:
            self.tell_refusals()

    def tell_refusals(self) -> None:
        """Put on record the refusals that were counted."""
        for (peer, reason, key_id), count in self._failures.items():
            self._trail.note("auth.fail", "refused", peer=peer, key=key_id, reason=reason, count=count)
        self._failures.clear()
        self._since = time.monotonic()

    def _look_at_models(self) -> None:
        served = {model.model: model for model in self._serving()}
        for name in self._served.keys() - served.keys():
            self._trail.note("model.gone", "ok", model=name)
        for name, now in served.items():
            before = self._served.get(name) or Serving(name, None, None, {})
            for version in now.refused.keys() - before.refused.keys():
                reason = now.refused[version]
                self._trail.note("model.refused", "refused", model=name, version=version, reason=reason)
            if (now.version, now.sha256) != (before.version, before.sha256):
                told = {"version": now.version, "sha256": now.sha256, "version_before": before.version}
                self._trail.note("model.swapped", "ok", model=name, **told)
        self._served = served

    def _look_at_keys(self) -> None:
        now, before = self._keys(), self._known_keys
        self._known_keys = now
        if before is not None and now != before:
            current = now[1]
            self._trail.note("keys.reload", "ok" if current else "failed", reason=None if current else "unreadable")
