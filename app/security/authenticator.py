"""Decides whether a request may come in: who asks, whether they may, and how often; it must not read a body.

Most of it is remembered: a caller that was let in on a connection is let in again until the keys change.
"""

from __future__ import annotations

import asyncio

from app.security.errors import KeyNotAccepted, NotAuthenticated, RateLimited, ScopeMissing
from app.security.keyring import Caller, Keyring
from app.security.keys import Scope
from app.security.rate_limit import TokenBuckets, site_of

_SCHEME = b"bearer "
# Wrong keys of one address: after so many, one more in this many seconds; good keys from there are not held up.
FAILURES = 10
FAILURE_S = 1.0
LOOK_S = 1.0  # between two looks at the key file: a revoked key is refused after so long at most


class Gate:
    """Lets callers in.

    Attributes:
        strangers: what may be done without a key.
        keyed: there are keys.
        open: nobody is ever refused: no keys, all scopes for everybody, no limit of requests.
    """

    def __init__(self, keyring: Keyring | None, strangers: frozenset[Scope], rates: TokenBuckets | None) -> None:
        """Store the parts.

        Args:
            keyring: the keys; None if there are none, and a key that comes all the same is not looked at.
            strangers: what may be done without a key.
            rates: how often each key, or address without one, may ask; None as often as it likes.
        """
        self._keyring = keyring
        self._stranger = Caller(None, strangers)
        self._rates = rates
        self._failures = TokenBuckets(1 / FAILURE_S, FAILURES)
        self.strangers = strangers
        self.keyed = keyring is not None
        self.open = keyring is None and rates is None and strangers == frozenset(Scope)

    @property
    def generation(self) -> int:
        """Changes whenever a caller that was let in may not be let in again."""
        return 0 if self._keyring is None else self._keyring.generation

    async def keep_current(self) -> None:
        """Look at the key file about once a second, for ever."""
        while self._keyring is not None:
            await asyncio.sleep(LOOK_S)
            self._keyring.refresh()

    @property
    def keys_current(self) -> bool:
        """Whether the keys are those of the file; False if it went bad and those of before are kept."""
        return self._keyring is None or self._keyring.current

    def identify(self, authorization: bytes | None, peer: str) -> Caller:
        """Return who asks.

        Args:
            authorization: the header of that name.
            peer: address of the other end of the connection.

        Raises:
            NotAuthenticated: if strangers may do nothing, or the key is not accepted.
            RateLimited: if too many keys from this address were not accepted.
        """
        caller = self.known(authorization)
        if caller is None:
            if wait_s := self._failures.take(site_of(peer)):
                raise RateLimited(wait_s)
            raise KeyNotAccepted
        if caller is self._stranger and not caller.scopes:
            raise NotAuthenticated
        return caller

    def known(self, authorization: bytes | None) -> Caller | None:
        """Return who asks, or None if the key is not accepted; it is not counted as a wrong one."""
        if self._keyring is None or authorization is None:
            return self._stranger
        scheme, key = authorization[: len(_SCHEME)], authorization[len(_SCHEME) :]
        return self._keyring.find(key.strip()) if scheme.lower() == _SCHEME else None

    def require(self, caller: Caller, scope: Scope) -> None:
        """Check that the caller may do this.

        Raises:
            ScopeMissing: if the key is not for it.
            NotAuthenticated: if there was no key.
        """
        if scope not in caller.scopes:
            raise NotAuthenticated if caller.key_id is None else ScopeMissing(scope, caller.key_id)

    def count(self, caller: Caller, peer: str) -> None:
        """Count a request of the caller.

        Raises:
            RateLimited: if there were too many lately.
        """
        if self._rates is not None and (wait_s := self._rates.take(caller.key_id or site_of(peer))):
            raise RateLimited(wait_s)

    def has_token(self, caller: Caller, peer: str) -> bool:
        """Count a request of the caller, unless there were too many; tell whether it was counted."""
        return self._rates is None or not self._rates.take(caller.key_id or site_of(peer))
