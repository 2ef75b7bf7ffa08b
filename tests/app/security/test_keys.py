"""The key file: what is stored of a key, who may read it, and that a bad one opens nothing."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.security import keys
from app.security.keys import FORM, KeyFile, Scope, UnreadableKeys
from modelstore import disk

PREDICT = frozenset((Scope.PREDICT,))


def test_new_key_has_the_promised_form_and_256_random_bits(file: KeyFile) -> None:
    made = [file.create(PREDICT, None, "") for _ in range(20)]

    assert all(FORM.fullmatch(key.encode()) for key in made)
    assert len({key.split("_", 2)[2] for key in made}) == 20
    assert keys.SECRET_BYTES * 8 == 256


def test_file_holds_the_sha256_and_nothing_of_the_secret(file: KeyFile) -> None:
    key = file.create(frozenset((Scope.TRAIN, Scope.PREDICT)), None, "for the shop")

    text = file.path.read_text()
    (stored,) = json.loads(text)["keys"]
    assert stored["sha256"] == hashlib.sha256(key.encode()).hexdigest()
    assert (stored["id"], stored["scopes"], stored["note"]) == (key.split("_")[1], ["predict", "train"], "for the shop")
    assert key.split("_", 2)[2] not in text


def test_file_is_for_its_owner_alone_whatever_the_umask(file: KeyFile) -> None:
    before = os.umask(0)
    try:
        file.create(PREDICT, None, "")
    finally:
        os.umask(before)

    assert file.path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.path.parent.iterdir()] == ["keys.json"]


def test_file_that_is_replaced_keeps_its_mode(file: KeyFile) -> None:
    file.create(PREDICT, None, "")
    file.path.chmod(0o640)

    file.create(PREDICT, None, "")

    assert file.path.stat().st_mode & 0o777 == 0o640


def test_keys_made_at_the_same_time_are_all_kept(file: KeyFile) -> None:
    threads = [threading.Thread(target=lambda: file.create(PREDICT, None, "")) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(file.read()) == 16


def test_revoked_key_is_gone_and_the_others_stay(file: KeyFile) -> None:
    first, second = (file.create(PREDICT, None, note).split("_")[1] for note in ("a", "b"))

    assert file.revoke(first)
    assert not file.revoke(first)
    assert [key.id for key in file.read()] == [second]


def test_last_key_cannot_be_revoked_because_an_empty_file_stops_the_next_start(file: KeyFile) -> None:
    only = file.create(PREDICT, None, "").split("_")[1]

    with pytest.raises(UnreadableKeys, match="without a key"):
        file.revoke(only)
    assert len(file.read()) == 1


def stored(**changes: object) -> dict[str, object]:
    key = {"id": "0" * 12, "scopes": ["predict"], "sha256": "0" * 64, "created": "2026-11-21T00:00:00Z"}
    return {**key, **changes}


def written(*found: object, **envelope: object) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps({"version": 1, "keys": found, **envelope}))


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no such file"),
    "a folder": (lambda path: path.mkdir(), "is a directory"),
    "empty": (lambda path: path.write_text(""), "json"),
    "no json": (lambda path: path.write_text("tabserve_key"), "json"),
    "another document": (lambda path: path.write_text("[]"), "the file"),
    "no keys": (written(), "holds no key"),
    "another version": (written(stored(), version=2), "version"),
    "unknown field": (written(stored(secret="x")), "secret"),
    "unknown scope": (written(stored(scopes=["root"])), "scopes"),
    "no scope": (written(stored(scopes=[])), "scopes"),
    "short digest": (written(stored(sha256="0" * 63)), "sha256"),
    "a key twice": (written(stored(), stored()), "twice"),
    "time without a zone": (written(stored(expires="2026-11-21T00:00:00")), "expires"),
    "too large": (lambda path: path.write_bytes(b" " * (keys.MAX_FILE_BYTES + 1)), "bytes"),
}


@pytest.mark.parametrize(("write", "reason"), BAD.values(), ids=BAD.keys())
def test_bad_file_is_refused_by_name_and_reason(write: Callable[[Path], object], reason: str, file: KeyFile) -> None:
    write(file.path)
    if file.path.is_file():
        file.path.chmod(0o600)

    with pytest.raises(ConfigurationError) as refused:
        file.read()

    assert f"TABSERVE_KEYS_FILE={file.path}: " in str(refused.value)
    assert reason in str(refused.value).lower()


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o602, 0o644, 0o666])
def test_file_that_others_may_read_or_write_is_refused(mode: int, file: KeyFile) -> None:
    file.create(PREDICT, None, "")
    file.path.chmod(mode)

    with pytest.raises(UnreadableKeys, match="chmod 600"):
        file.read()


def test_secret_of_a_container_may_be_readable_but_not_writable(file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.create(PREDICT, None, "")
    monkeypatch.setattr(disk, "SECRETS_FOLDER", file.path.parent.resolve())

    file.path.chmod(0o444)
    assert len(file.read()) == 1
    file.path.chmod(0o446)
    with pytest.raises(UnreadableKeys):
        file.read()
