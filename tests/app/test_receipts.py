"""A receipt says what it was made of, and no other text is one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import string
import time
from pathlib import Path

import numpy as np
import pytest

from app.errors import ReceiptKeyUnavailable
from app.receipts import FIELDS, KEY_FILE, ReceiptKeys, mac_of, model_id, read_receipt, write_receipts
from modelstore import SigningKey

SECRET = b"s" * 32
SIGNING = SigningKey(b"k" * 32, (b"o" * 32,))
MAC = mac_of(SECRET, "iris", 3, "ab" * 32)


def some_rows(rows: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    said = np.zeros(rows, dtype=FIELDS)
    said["model"], said["version"], said["time"], said["nonce"] = model_id("iris"), 3, 1_800_000_000, np.void(b"12345")
    said["row"], said["label"], said["number"] = np.arange(rows), np.arange(rows) % 3, 0.625
    return said


def test_a_receipt_says_what_it_was_made_of() -> None:
    texts = write_receipts(some_rows(300), MAC)

    assert len(set(texts)) == 300
    read = read_receipt(texts[256])
    assert read is not None
    assert (read.model, read.version, read.time_s) == (model_id("iris"), 3, 1_800_000_000)
    assert (read.label, read.number, read.mac) == (256 % 3, 0.625, MAC(read.fields))


def test_its_mac_is_the_hmac_of_the_standard_library() -> None:
    raw = base64.urlsafe_b64decode(write_receipts(some_rows(1), MAC)[0])
    key = hmac.digest(SECRET, b"iris\x003\x00" + b"ab" * 32, hashlib.sha256)

    assert raw[27:] == hmac.digest(key, raw[:27], hashlib.sha256)[:12]


def test_another_model_version_artifact_or_secret_makes_another_mac() -> None:
    others = [
        mac_of(SECRET, "iris", 4, "ab" * 32),
        mac_of(SECRET, "wine", 3, "ab" * 32),
        mac_of(SECRET, "iris", 3, "cd" * 32),
        mac_of(b"t" * 32, "iris", 3, "ab" * 32),
    ]
    assert len({mac(b"fields") for mac in (MAC, *others)}) == 5


def test_no_change_of_a_receipt_keeps_its_proof() -> None:
    (text,) = write_receipts(some_rows(1), MAC)
    for place in range(len(text)):
        for changed in {text[:place] + other + text[place + 1 :] for other in "Ab3_"} - {text}:
            read = read_receipt(changed)
            assert read is not None
            assert MAC(read.fields) != read.mac


def test_none_of_a_thousand_forged_receipts_is_proved() -> None:
    draw = random.Random(0)
    alphabet = string.ascii_letters + string.digits + "-_"
    for _ in range(1000):
        read = read_receipt("".join(draw.choices(alphabet, k=52)))
        assert read is not None
        assert MAC(read.fields) != read.mac


@pytest.mark.parametrize(
    "text", [None, 3, "", "a" * 51, "a" * 53, "a" * 51 + "=", "a" * 51 + "+", "\xe4" * 52, b"a" * 52]
)
def test_what_has_another_form_is_no_receipt(text: object) -> None:
    assert read_receipt(text) is None


def test_secrets_are_derived_from_the_signing_key_and_its_older_ones(tmp_path: Path) -> None:
    first, second = ReceiptKeys(SIGNING, tmp_path).secrets()

    assert first == hmac.digest(b"k" * 32, b"tabserve receipt v1\0", hashlib.sha256)
    assert second == ReceiptKeys(SigningKey(b"o" * 32), tmp_path).secrets()[0]
    assert not list(tmp_path.iterdir())


def test_without_a_signing_key_all_processes_share_one_that_is_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    keys = ReceiptKeys(None, folder)

    assert (keys.are_read, keys.secrets()) == (False, ReceiptKeys(None, folder).secrets())
    assert keys.are_read
    assert [(file.name, file.stat().st_mode & 0o777) for file in folder.iterdir()] == [(KEY_FILE, 0o600)]


def test_a_key_that_cannot_be_made_or_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ReceiptKeyUnavailable, match="state folder cannot be written"):
        ReceiptKeys(None, tmp_path / "file").secrets()
    (tmp_path / KEY_FILE).write_text("short")
    (tmp_path / KEY_FILE).chmod(0o600)
    with pytest.raises(ReceiptKeyUnavailable, match="at least 32 bytes") as caught:
        ReceiptKeys(None, tmp_path).secrets()
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.alone
def test_a_receipt_takes_less_than_five_microseconds() -> None:
    rows, best = some_rows(128), 1.0
    for _ in range(200):
        began = time.process_time()
        write_receipts(rows, MAC)
        best = min(best, time.process_time() - began)

    assert best / 128 < 5e-6
