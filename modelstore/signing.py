"""Signatures of manifests, so that a store which others can write serves nothing but what the key's holder made.

The manifest names the sha256 of `model.pt`, so its signature vouches for both. It must not know where they lie.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from modelstore.errors import InvalidKey

MIN_KEY_BYTES = 32
MAX_FILE_BYTES = 64 << 10
_SECRETS_FOLDER = Path("/run/secrets")  # where a container's runtime decides about modes
_PURPOSE = b"tabserve manifest v1\0"  # a key that signs other things too must not vouch for these by accident


@dataclass(frozen=True)
class SigningKey:
    """A secret that signs manifests, HMAC-SHA-256 (RFC 2104).

    Attributes:
        secret: what signs.
        older: secrets that signed before it, and still vouch for what they signed.
    """

    secret: bytes = field(repr=False)
    older: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a key file: a key on each line, the first signs, all verify; white space around a key does not count.

        Raises:
            InvalidKey: if it cannot be read, holds no key or one of fewer than 32 bytes, or is not private.
        """
        try:
            with path.open("rb") as file:
                _require_private(path, os.fstat(file.fileno()))
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise InvalidKey(path, f"it cannot be read ({error.strerror})") from error
        keys = [line.strip() for line in content.splitlines() if line.strip()]
        shortest = min(map(len, keys), default=0)
        if shortest < MIN_KEY_BYTES or len(content) > MAX_FILE_BYTES:
            raise InvalidKey(
                path,
                f"expected keys of at least {MIN_KEY_BYTES} bytes, a line each, got {shortest} bytes; "
                "python -m training signing-key makes one",
            )
        return cls(keys[0], tuple(keys[1:]))

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a key file that only its owner may read, with a new key before those that it holds.

        Raises:
            InvalidKey: if there is a file that is no key file, or it cannot be written.
        """
        known = cls.read(path) if path.exists() else None
        older = (known.secret, *known.older) if known else ()
        new = cls(secrets.token_hex(MIN_KEY_BYTES).encode(), older)
        aside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                _keep_owner(path, descriptor)
                file.write(b"".join(key + b"\n" for key in (new.secret, *older)))
                file.flush()
                os.fsync(descriptor)
            aside.replace(path)
        except OSError as error:
            raise InvalidKey(path, f"it cannot be written ({error.strerror})") from error
        return new

    def sign(self, manifest: bytes) -> str:
        """Return the signature of a manifest's bytes, 64 hexadecimal digits."""
        return _signature(self.secret, manifest)

    def verifies(self, manifest: bytes, signature: str) -> bool:
        """Tell whether one of the keys signed these very bytes; how far a wrong signature is right takes no time."""
        given = signature.encode()
        matching = [
            hmac.compare_digest(_signature(secret, manifest).encode(), given) for secret in (self.secret, *self.older)
        ]
        return any(matching)


def _signature(secret: bytes, manifest: bytes) -> str:
    return hmac.new(secret, _PURPOSE + manifest, hashlib.sha256).hexdigest()


def _require_private(path: Path, found: os.stat_result) -> None:
    """Refuse a file that others than its owner and group may read, or others than its owner may write.

    Raises:
        InvalidKey.
    """
    if not stat.S_ISREG(found.st_mode):
        raise InvalidKey(path, "it is no file")
    in_container = _SECRETS_FOLDER in path.resolve().parents
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or (found.st_mode & stat.S_IROTH and not in_container):
        raise InvalidKey(path, "others may read or write it; chmod 600 it, and make a new key if it was so for long")


def _keep_owner(path: Path, descriptor: int) -> None:
    """Let whoever may read the present file read the one that replaces it."""
    with contextlib.suppress(FileNotFoundError):
        present, new = path.stat(), os.fstat(descriptor)
        if (present.st_uid, present.st_gid) != (new.st_uid, new.st_gid):
            os.fchown(descriptor, present.st_uid, present.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(present.st_mode))
