"""Identify the caller of a request, check its scope and limit its rate.

Results are cached: a caller admitted on a connection is admitted again until the keys change. This module must not
read a body.
"""

from __future__ import annotations

import asyncio

from app.security.errors import KeyNotAccepted, NotAuthenticated, RateLimited, ScopeMissing
from app.security.keyring import Caller, Keyring
from app.security.keys import Key, Scope
from app.security.rate_limit import TokenBuckets, site_of

_SCHEME = b"bearer "
# Wrong keys from one address: after FAILURES of them, one more per FAILURE_S; valid keys from there are not delayed.
FAILURES = 10
FAILURE_S = 1.0
LOOK_S = 1.0  # interval of checking the key file: a revoked key is refused after this time at most


class Authenticator:
    """Authenticates callers.

    Attributes:
        anonymous_scopes: scopes of callers without a key.
        keyed: whether there are keys.
        open: whether no caller is ever refused: no keys, all scopes for everybody, no rate limit.
    """

    def __init__(self, keyring: Keyring | None, anonymous_scopes: frozenset[Scope], rates: TokenBuckets | None) -> None:
        """Create the authenticator of a service.

        Args:
            keyring: the keys; None if there are none, in which case a key that is sent is ignored.
            anonymous_scopes: scopes of callers without a key.
            rates: rate limit of each key, or of each address without one; None for no limit.
        """
        self._keyring = keyring
        self._anonymous = Caller(None, anonymous_scopes)
        self._rates = rates
        self._failures = TokenBuckets(1 / FAILURE_S, FAILURES)
        self.anonymous_scopes = anonymous_scopes
        self.keyed = keyring is not None
        self.open = keyring is None and rates is None and anonymous_scopes == frozenset(Scope)

    @property
    def generation(self) -> int:
        """Generation of the keys; it changes when callers that were admitted must be checked again."""
        return 0 if self._keyring is None else self._keyring.generation

    async def keep_current(self) -> None:
        """Reload the key file when it changes; checks about once a second, for ever."""
        while self._keyring is not None:
            await asyncio.sleep(LOOK_S)
            self._keyring.refresh()

    @property
    def keys_current(self) -> bool:
        """Whether the keys match the file; False if it became unusable and the previous keys are kept."""
        return self._keyring is None or self._keyring.current

    def describe_keys(self) -> tuple[int, bool]:
        """Return the generation of the keys, and whether they match their file."""
        return self.generation, self.keys_current

    def accepted_keys(self) -> tuple[tuple[Key, ...] | None, bool]:
        """Return the keys that are accepted now, None if there are no keys, and whether they match their file."""
        return (None if self._keyring is None else self._keyring.accepted_keys()), self.keys_current

    def identify(self, authorization: bytes | None, peer: str) -> Caller:
        """Identify the caller of a request by its header `Authorization`; `peer` is the client's address.

        Raises:
            NotAuthenticated: if callers without a key have no scope, or the key is not accepted.
            RateLimited: if too many keys from this address were not accepted.
        """
        caller = self.find_caller(authorization)
        if caller is None:
            if wait_s := self._failures.take(site_of(peer)):
                raise RateLimited(wait_s)
            raise KeyNotAccepted
        if caller is self._anonymous and not caller.scopes:
            raise NotAuthenticated
        return caller

    def find_caller(self, authorization: bytes | None) -> Caller | None:
        """Identify the caller, or return None if the key is not accepted, without counting it as a wrong key."""
        if self._keyring is None or authorization is None:
            return self._anonymous
        scheme, key = authorization[: len(_SCHEME)], authorization[len(_SCHEME) :]
        return self._keyring.find(key.strip()) if scheme.lower() == _SCHEME else None

    def require(self, caller: Caller, scope: Scope) -> None:
        """Check that the caller has a scope.

        Raises:
            ScopeMissing: if the key lacks it.
            NotAuthenticated: if there was no key.
        """
        if scope not in caller.scopes:
            raise NotAuthenticated if caller.key_id is None else ScopeMissing(scope, caller.key_id)

    def count(self, caller: Caller, peer: str) -> None:
        """Count a request of the caller against the rate limit.

        Raises:
            RateLimited: if the limit is exceeded.
        """
        if self._rates is not None and (wait_s := self._rates.take(caller.key_id or site_of(peer))):
            raise RateLimited(wait_s)

    def take_token(self, caller: Caller, peer: str) -> bool:
        """Count a request of the caller if the rate limit permits it, and return whether it does."""
        return self._rates is None or not self._rates.take(caller.key_id or site_of(peer))
