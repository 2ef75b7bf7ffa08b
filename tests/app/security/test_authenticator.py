"""Who is let in: keys, strangers, scopes, and how often; without a server."""

from __future__ import annotations

import pytest

from app.security.authenticator import FAILURES, Authenticator
from app.security.errors import KeyNotAccepted, NotAuthenticated, RateLimited, ScopeMissing
from app.security.keyring import Caller, Keyring
from app.security.keys import KeyFile, Scope
from app.security.rate_limit import TokenBuckets

HERE = "192.0.2.1"
NOBODY: frozenset[Scope] = frozenset()
ALL = frozenset(Scope)


@pytest.fixture
def key(file: KeyFile) -> str:
    return file.create(frozenset((Scope.PREDICT,)), None, "")


@pytest.fixture
def keyring(file: KeyFile, key: str) -> Keyring:
    ring = Keyring(file)
    ring.load()
    return ring


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer  {}", "Bearer {} "])
def test_key_is_taken_from_the_header_as_rfc_6750_writes_it(header: str, key: str, keyring: Keyring) -> None:
    caller = Authenticator(keyring, NOBODY, None).identify(header.format(key).encode(), HERE)

    assert caller == Caller(key.split("_")[1], frozenset((Scope.PREDICT,)))


@pytest.mark.parametrize("header", ["{}", "Basic {}", "Bearer", "Bearer ", "Bearer\t{}", "Bearer {},{}", "Bearer x{}"])
def test_key_in_another_dress_is_not_accepted(header: str, key: str, keyring: Keyring) -> None:
    with pytest.raises(KeyNotAccepted):
        Authenticator(keyring, NOBODY, None).identify(header.format(key, key).encode(), HERE)


def test_wrong_key_is_not_taken_for_a_stranger_who_may_come_in(keyring: Keyring) -> None:
    authenticator = Authenticator(keyring, ALL, None)

    assert authenticator.identify(None, HERE).scopes == ALL
    with pytest.raises(KeyNotAccepted):
        authenticator.identify(b"Bearer tabserve_x", HERE)


def test_stranger_is_asked_for_a_key_and_a_key_for_its_scope(key: str, keyring: Keyring) -> None:
    authenticator = Authenticator(keyring, frozenset((Scope.PREDICT,)), None)
    stranger, known = authenticator.identify(None, HERE), authenticator.identify(b"Bearer " + key.encode(), HERE)

    authenticator.require(stranger, Scope.PREDICT)
    authenticator.require(known, Scope.PREDICT)
    with pytest.raises(NotAuthenticated):
        authenticator.require(stranger, Scope.TRAIN)
    with pytest.raises(ScopeMissing) as missing:
        authenticator.require(known, Scope.TRAIN)
    assert "train" in str(missing.value)


@pytest.mark.parametrize("scope", list(Scope))
def test_no_scope_implies_another(scope: Scope) -> None:
    authenticator = Authenticator(None, NOBODY, None)
    caller = Caller("0" * 12, frozenset((scope,)))

    for other in Scope:
        if other is scope:
            authenticator.require(caller, other)
        else:
            with pytest.raises(ScopeMissing):
                authenticator.require(caller, other)


def test_without_a_key_file_a_key_that_comes_all_the_same_is_not_looked_at() -> None:
    authenticator = Authenticator(None, ALL, None)

    assert authenticator.open
    assert authenticator.identify(b"Bearer anything", HERE).scopes == ALL


def test_wrong_keys_are_slowed_down_but_not_good_ones_nor_other_addresses(key: str, keyring: Keyring) -> None:
    authenticator = Authenticator(keyring, NOBODY, None)
    outcomes: list[type[Exception]] = []
    for _ in range(100):
        with pytest.raises((KeyNotAccepted, RateLimited)) as refused:
            authenticator.identify(b"Bearer wrong", HERE)
        outcomes.append(refused.type)

    assert FAILURES <= outcomes.count(KeyNotAccepted) <= FAILURES + 2
    assert outcomes[0] is KeyNotAccepted
    assert outcomes[-1] is RateLimited
    assert authenticator.identify(b"Bearer " + key.encode(), HERE).key_id == key.split("_")[1]
    with pytest.raises(KeyNotAccepted):
        authenticator.identify(b"Bearer wrong", "192.0.2.2")


def test_requests_are_counted_by_key_and_by_address_only_without_one() -> None:
    authenticator = Authenticator(None, ALL, TokenBuckets(0.001, 1))
    stranger, one, two = Caller(None, ALL), Caller("1" * 12, ALL), Caller("2" * 12, ALL)
    for caller, peer in ((stranger, HERE), (stranger, "192.0.2.2"), (one, HERE), (two, HERE)):
        authenticator.count(caller, peer)

    for caller, peer in ((stranger, HERE), (one, "192.0.2.3")):
        with pytest.raises(RateLimited) as refused:
            authenticator.count(caller, peer)
        assert 0 < int(refused.value.headers["Retry-After"]) <= 1000
    assert not authenticator.open


def test_generation_of_the_keys_is_that_of_the_gate(keyring: Keyring, file: KeyFile) -> None:
    authenticator = Authenticator(keyring, NOBODY, None)
    before = authenticator.generation
    file.create(frozenset((Scope.ADMIN,)), None, "")
    keyring.refresh()

    assert authenticator.generation != before
