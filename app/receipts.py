"""Receipts of predictions, the keys that prove who gave them, and ids in their place.

A receipt says which version answered a row, when and what, so that nothing is stored when a row is predicted. This
module must not know HTTP, or where labels are kept.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import ReceiptKeyUnavailable
from modelstore import InvalidKey, SigningKey

KEY_FILE = "receipts.key"
FIELDS = np.dtype(
    [
        ("model", ">u4"),  # `model_id` of its name
        ("version", ">u4"),
        ("time", ">u4"),  # seconds since 1970
        ("nonce", "V5"),  # of the request, so that no two receipts are equal
        ("row", ">u4"),  # position among the rows of the request, from 0
        ("label", ">u2"),  # index of the class; 0 for a quantity
        ("number", ">f4"),  # probability of that class, or the quantity
    ]
)
MAC_BYTES = 12
CHARACTERS = 4 * (FIELDS.itemsize + MAC_BYTES) // 3  # 52; the bytes are a multiple of three
ID_CHARACTERS = 128
ID_FORM = f"must be a text of at most {ID_CHARACTERS} printable characters, or a whole number"

_PURPOSE = b"tabserve receipt v1\0"
_FORM = re.compile(rf"[A-Za-z0-9_-]{{{CHARACTERS}}}", re.ASCII)
_TO_URL, _FROM_URL = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")

Mac = Callable[[bytes], bytes]


class Receipt(NamedTuple):
    """What a receipt says; nothing of it is proved before its MAC was checked.

    Attributes:
        model: `model_id` of the model's name.
        time_s: seconds since 1970 when the row was predicted.
        label: index of the class; 0 for a quantity.
        number: probability of that class, or the quantity; float32.
        fields: the bytes that the MAC is of.
        mac: 12 bytes, unique to the row.
    """

    model: int
    version: int
    time_s: int
    label: int
    number: float
    fields: bytes
    mac: bytes


class ShadowAnswer(NamedTuple):
    """What a shadow version answered for the row of a receipt.

    Attributes:
        mac: of the receipt.
        shadow: number of the version.
        time_s: seconds since 1970 when the row was predicted.
        answer: index of the class, or the quantity.
    """

    mac: bytes
    shadow: int
    time_s: int
    answer: float


class ReceiptKeys:
    """The secrets of all receipts: derived from the signing key, or from a key that all workers share in a folder."""

    def __init__(self, signing: SigningKey | None, folder: Path) -> None:
        """Create them; nothing is read yet.

        Args:
            signing: key of the model store; None if it has none.
            folder: where a key is made then, once, when it is first needed.
        """
        self._signing = signing
        self._folder = folder
        self._secrets: tuple[bytes, ...] | None = None

    @property
    def are_read(self) -> bool:
        """Return whether `secrets` answers at once."""
        return self._secrets is not None

    def secrets(self) -> tuple[bytes, ...]:
        """Return the secret that makes receipts, and older ones that still prove them; reads a file at first.

        Raises:
            ReceiptKeyUnavailable.
        """
        if self._secrets is None:
            key = self._signing or self._read_shared()
            self._secrets = tuple(_hmac(secret, _PURPOSE).digest() for secret in (key.secret, *key.older))
        return self._secrets

    def _read_shared(self) -> SigningKey:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return SigningKey.read_or_create(self._folder / KEY_FILE)
        except OSError as error:
            raise ReceiptKeyUnavailable(f"the state folder cannot be written ({error.strerror})") from error
        except InvalidKey as error:
            raise ReceiptKeyUnavailable(f"{KEY_FILE} in the state folder: {error.problem}") from error


def model_id(name: str) -> int:
    """Return the number, 32 bits, that stands for the name of a model; others may have the same."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])


def mac_of(secret: bytes, name: str, version: int, sha256: str) -> Mac:
    """Return the function that computes the MAC, HMAC-SHA-256 (RFC 2104) cut to 12 bytes, of a version's receipts.

    Args:
        secret: of `ReceiptKeys`.
        name: name of the model.
        version: number of the version.
        sha256: of its artifact, so that no other version of this name and number has the same receipts.
    """
    own = _hmac(_hmac(secret, f"{name}\0{version}\0{sha256}".encode()).digest(), b"")

    def mac(fields: bytes) -> bytes:
        """Return the MAC of the fields of a receipt, `MAC_BYTES` long."""
        found = own.copy()  # half the time of a new one
        found.update(fields)
        return found.digest()[:MAC_BYTES]

    return mac


def write_receipts(rows: NDArray[np.void], mac: Mac) -> list[str]:
    """Return the receipts of rows, given as an array of `FIELDS`, (N,)."""
    raw, size = rows.tobytes(), FIELDS.itemsize
    parts: list[bytes] = []
    for start in range(0, len(raw), size):
        fields = raw[start : start + size]
        parts += (fields, mac(fields))
    text = binascii.b2a_base64(b"".join(parts), newline=False).translate(_TO_URL).decode()
    return [text[start : start + CHARACTERS] for start in range(0, len(text), CHARACTERS)]


def macs_of(receipts: Sequence[str]) -> list[bytes]:
    """Return the MACs of receipts that were written here."""
    raw, size = binascii.a2b_base64("".join(receipts).encode().translate(_FROM_URL)), FIELDS.itemsize + MAC_BYTES
    return [raw[end - MAC_BYTES : end] for end in range(size, len(raw) + 1, size)]


def read_receipt(text: object) -> Receipt | None:
    """Return what a receipt says; None if it has not the form of one."""
    if type(text) is not str or not _FORM.fullmatch(text):
        return None
    raw = binascii.a2b_base64(text.encode().translate(_FROM_URL))
    fields, mac = raw[: FIELDS.itemsize], raw[FIELDS.itemsize :]
    one = np.frombuffer(fields, dtype=FIELDS)[0]
    model, version, time_s, label = (int(one[name]) for name in ("model", "version", "time", "label"))
    return Receipt(model, version, time_s, label, float(one["number"]), fields, mac)


def read_id(value: object) -> str | None:
    """Return a caller's own id of a row, without outer blanks; None if it has not the form of one, `ID_FORM`.

    A whole number is its digits.
    """
    text = str(value) if type(value) is int else value
    if not isinstance(text, str):
        return None
    stripped = text.strip()
    return stripped if 0 < len(stripped) <= ID_CHARACTERS and stripped.isprintable() else None


def _hmac(secret: bytes, text: bytes) -> hmac.HMAC:
    return hmac.new(secret, text, hashlib.sha256)
