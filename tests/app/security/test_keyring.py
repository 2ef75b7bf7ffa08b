"""Accepted keys: found in constant time, and reread as the file changes and time passes."""

from __future__ import annotations

import contextlib
import errno
import hmac
import json
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.security import keyring
from app.security.keyring import Keyring
from app.security.keys import KeyFile, Scope, UnreadableKeys, digest_of

BOTH = frozenset((Scope.PREDICT, Scope.METRICS))


def ring_of(file: KeyFile) -> Keyring:
    ring = Keyring(file)
    ring.load()
    return ring


def test_key_is_found_with_its_id_and_scopes(file: KeyFile) -> None:
    file.create(frozenset((Scope.ADMIN,)), None, "")
    key = file.create(BOTH, None, "")

    caller = ring_of(file).find(key.encode())

    assert caller is not None
    assert (caller.key_id, caller.scopes) == (key.split("_")[1], BOTH)


WRONG: dict[str, Callable[[str], str]] = {
    "empty": lambda key: "",
    "cut": lambda key: key[:-1],
    "longer": lambda key: key + "A",
    "another end": lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
    "another id": lambda key: key.replace(key.split("_")[1], "0" * 12),
    "a space": lambda key: key + " ",
    "a line feed": lambda key: key + "\n",
    "upper case": str.upper,
    "its digest": lambda key: digest_of(key.encode()).hex(),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_what_is_almost_a_key_is_nobodys(change: Callable[[str], str], file: KeyFile) -> None:
    key = file.create(BOTH, None, "")

    assert ring_of(file).find(change(key).encode()) is None


def test_digest_is_compared_with_every_stored_key_whatever_was_presented(
    file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [file.create(BOTH, None, "") for _ in range(7)]
    ring = ring_of(file)
    compared: list[bytes] = []

    def compare(stored: bytes, presented: bytes) -> bool:
        compared.append(stored)
        return stored == presented

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for presented in (made[0], made[-1], "unknown", ""):
        compared.clear()
        ring.find(presented.encode())
        assert len(compared) == len(set(compared)) == 7


@pytest.mark.slow
def test_right_beginning_of_a_key_takes_as_long_as_a_wrong_one(file: KeyFile) -> None:
    key = file.create(BOTH, None, "")
    ring = ring_of(file)
    near, far = (key[:-1] + ("A" if key[-1] != "A" else "B")).encode(), b"tabserve_" + b"0" * 12 + b"_" + b"A" * 43
    took: dict[bytes, list[int]] = {near: [], far: []}
    for _ in range(20_000):
        for presented in (near, far):
            began = time.perf_counter_ns()
            ring.find(presented)
            took[presented].append(time.perf_counter_ns() - began)

    assert abs(statistics.median(took[near]) - statistics.median(took[far])) < 5_000


def test_new_keys_are_accepted_and_revoked_ones_refused_after_the_next_look(file: KeyFile) -> None:
    first = file.create(BOTH, None, "")
    ring = ring_of(file)
    before = ring.generation
    second = file.create(BOTH, None, "")
    file.revoke(first.split("_")[1])

    ring.refresh()

    assert ring.find(first.encode()) is None
    assert ring.find(second.encode()) is not None
    assert ring.generation > before


def test_look_that_finds_nothing_new_changes_nothing(file: KeyFile) -> None:
    file.create(BOTH, None, "")
    ring = ring_of(file)
    before = ring.generation

    ring.refresh()

    assert ring.generation == before


BREAK: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_text(""),
    "no keys": lambda path: path.write_text('{"version": 1, "keys": []}'),
    "half": lambda path: path.write_text(path.read_text()[:50]),
    "readable": lambda path: path.chmod(0o644),
}


@pytest.mark.parametrize("damage", BREAK.values(), ids=BREAK.keys())
def test_file_that_breaks_keeps_the_keys_of_before_until_it_is_mended(
    damage: Callable[[Path], object], file: KeyFile
) -> None:
    key = file.create(BOTH, None, "")
    whole = file.path.read_bytes()
    ring = ring_of(file)
    damage(file.path)

    ring.refresh()
    assert ring.find(key.encode()) is not None
    assert ring.find(b"tabserve_" + b"0" * 12 + b"_" + b"A" * 43) is None
    assert not ring.current

    file.path.write_bytes(whole)
    file.path.chmod(0o600)
    ring.refresh()
    assert ring.current


@pytest.fixture
def no_descriptor_left() -> Iterator[Callable[[], None]]:
    """Return what gives the descriptors back, of which the process has none until then."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open("/", os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 1, limits[1]))

    def give_back() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        while taken:
            os.close(taken.pop())

    with contextlib.suppress(OSError):
        while True:
            taken.append(os.open("/", os.O_RDONLY))
    yield give_back
    give_back()


def test_revocation_that_could_not_be_read_at_once_is_read_later_and_said_once(
    file: KeyFile, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    revoked, other = (file.create(BOTH, None, "") for _ in range(2))
    ring = ring_of(file)
    file.revoke(revoked.split("_")[1])
    give_back: Callable[[], None] = request.getfixturevalue("no_descriptor_left")

    for _ in range(3):
        ring.refresh()
    give_back()

    assert not ring.current
    assert ring.find(revoked.encode()) is not None
    (told,) = [record for record in caplog.records if "stay accepted" in record.getMessage()]
    assert os.strerror(errno.EMFILE).lower() in told.getMessage().lower()

    ring.refresh()
    assert ring.find(revoked.encode()) is None
    assert ring.find(other.encode()) is not None
    assert ring.current


def test_ring_without_a_usable_file_is_not_loaded(file: KeyFile) -> None:
    with pytest.raises(UnreadableKeys):
        ring_of(file)


def test_expired_key_is_refused_and_the_others_stay(file: KeyFile) -> None:
    now = datetime.now(UTC)
    past, soon, never = (file.create(BOTH, end, "") for end in (now, now + timedelta(days=1), None))
    ring = ring_of(file)

    assert ring.find(past.encode()) is None
    assert ring.find(soon.encode()) is not None
    assert ring.find(never.encode()) is not None


def two_days_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the monotonic clock of the keys ahead, whatever time this machine takes."""
    later_s = time.monotonic() + 2 * 24 * 3600
    monkeypatch.setattr(keyring, "time", SimpleNamespace(monotonic=lambda: later_s))


def test_key_that_expires_while_it_is_accepted_is_refused_at_once_and_forgotten_at_the_next_look(
    file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    lasting = file.create(BOTH, None, "")
    short = file.create(BOTH, datetime.now(UTC) + timedelta(days=1), "")
    ring = ring_of(file)
    before = ring.generation
    assert ring.find(short.encode()) is not None

    two_days_later(monkeypatch)
    assert ring.find(short.encode()) is None
    assert ring.generation == before
    ring.refresh()

    assert ring.generation > before
    assert ring.find(lasting.encode()) is not None


def test_wall_clock_that_is_set_back_does_not_bring_a_key_back(file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    key = file.create(BOTH, datetime.now(UTC) + timedelta(days=1), "")
    lasting = file.create(BOTH, None, "")
    ring = ring_of(file)
    two_days_later(monkeypatch)
    assert ring.find(key.encode()) is None

    class Yesterday(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime(2020, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(keyring, "datetime", Yesterday)
    ring.refresh()

    assert ring.find(key.encode()) is None
    assert ring.find(lasting.encode()) is not None


def test_file_that_is_replaced_while_it_is_read_is_never_half_seen(file: KeyFile) -> None:
    key = file.create(BOTH, None, "")
    ring = ring_of(file)
    for _ in range(50):
        file.create(BOTH, None, "")
        ring.refresh()
        assert ring.current
        assert ring.find(key.encode()) is not None
    assert len(json.loads(file.path.read_text())["keys"]) == 51


def test_accepted_keys_are_those_that_have_not_expired(file: KeyFile) -> None:
    file.create(BOTH, datetime.now(UTC) - timedelta(days=1), "expired")
    file.create(BOTH, datetime.now(UTC) + timedelta(days=1), "valid")

    assert [key.note for key in ring_of(file).accepted_keys()] == ["valid"]
