"""The accepted keys in memory, and the lookup of a presented key.

This module must not know HTTP, nor how keys are stored.
"""

from __future__ import annotations

import hmac
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from app.security.keys import FORM, Key, KeyFile, Scope, UnreadableKeys, digest_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request.

    Attributes:
        key_id: id of the key; None for a caller without one.
        scopes: scopes of the caller.
    """

    key_id: str | None
    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True)
class _Accepted:
    digest: bytes
    caller: Caller
    until: float  # on the monotonic clock, so that setting the wall clock neither revives a key nor ends one early


class Keyring:
    """Holds the keys of a file, and reloads them when the file changes.

    Attributes:
        generation: changes whenever a key that was found before may no longer be accepted.
        current: False while the file cannot be used and the previous keys are kept.
    """

    def __init__(self, file: KeyFile) -> None:
        self.generation = 0
        self.current = True
        self._file = file
        self._seen: object = None
        self._told: str | None = None  # the last error that was logged
        self._keys: tuple[Key, ...] = ()
        self._accepted: tuple[_Accepted, ...] = ()
        self._remembered: dict[bytes, _Accepted] = {}  # by digest; at most as many as there are keys

    def load(self) -> None:
        """Load the keys for the first time.

        Raises:
            UnreadableKeys: if the file cannot be used; the service must not start then.
        """
        self._seen = self._look()
        self._accept(self._file.read())

    def refresh(self) -> None:
        """Drop expired keys, and reload the file if it changed; a file that cannot be used changes nothing."""
        now = time.monotonic()
        if any(key.until <= now for key in self._accepted):
            self._replace(tuple(key for key in self._accepted if key.until > now))
        seen = self._look()
        if seen == self._seen:
            return
        try:
            self._accept(self._file.read())
        except UnreadableKeys as error:
            self.current = False
            if str(error) != self._told:
                logger.error("the keys of before stay accepted: %s", error)
            self._told = str(error)
        else:  # only now: after a lack of memory or descriptors, the next refresh tries again
            self._seen, self.current, self._told = seen, True, None

    def accepted_keys(self) -> tuple[Key, ...]:
        """Return the keys that are accepted now."""
        accepted = {key.caller.key_id for key in self._accepted if key.until > time.monotonic()}
        return tuple(key for key in self._keys if key.id in accepted)

    def find(self, presented: bytes) -> Caller | None:
        """Return the caller that a key belongs to, or None; digests are compared in constant time."""
        digest = digest_of(presented)
        found = self._remembered.get(digest)  # holds digests of complete, accepted keys only
        if found is None:
            for key in self._accepted:
                if hmac.compare_digest(key.digest, digest):
                    found = key
            if found is None or not FORM.fullmatch(presented):
                return None
            self._remembered[digest] = found
        return found.caller if time.monotonic() < found.until else None

    def _look(self) -> object:
        """Return a fingerprint of the file, which differs after the file is changed or replaced."""
        try:
            found = self._file.path.stat()
        except OSError as error:
            return error.errno
        return found.st_mtime_ns, found.st_ino, found.st_size, found.st_mode

    def _accept(self, keys: tuple[Key, ...]) -> None:
        now, wall = time.monotonic(), datetime.now(UTC)
        accepted = []
        for key in keys:
            left = (key.expires - wall).total_seconds() if key.expires else float("inf")
            if left > 0:
                caller = Caller(key.id, frozenset(key.scopes))
                accepted.append(_Accepted(bytes.fromhex(key.sha256), caller, now + left))
        self._keys = keys
        self._replace(tuple(accepted))
        logger.info("%d keys are accepted, %d have expired", len(accepted), len(keys) - len(accepted))

    def _replace(self, accepted: tuple[_Accepted, ...]) -> None:
        self._accepted = accepted
        self._remembered = {}
        self.generation += 1
