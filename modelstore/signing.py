"""Sign and verify manifests with a secret key (HMAC-SHA-256).

With a key, only versions made by its holder are served, even if others can write to the store. The manifest contains
the sha256 of `model.pt` and `model.onnx`, so its signature covers them. It must not know where they are stored.
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

from modelstore import disk
from modelstore.errors import InvalidKey

MIN_KEY_BYTES = 32
MAX_FILE_BYTES = 64 << 10
_PURPOSE = b"tabserve manifest v1\0"  # signatures made with the same key for another purpose are not valid here


@dataclass(frozen=True)
class SigningKey:
    """A secret that signs manifests, HMAC-SHA-256 (RFC 2104).

    Attributes:
        secret: the key that signs.
        older: former keys, which still verify older signatures.
    """

    secret: bytes = field(repr=False)
    older: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a key file: one key per line, the first signs, all verify; white space around a key is ignored.

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
        """Add a new key at the top of a key file; a new file is readable by its owner only.

        Raises:
            InvalidKey: if the file exists but is not a key file, or cannot be written.
        """
        known = cls.read(path) if path.exists() else None
        new = cls._new((known.secret, *known.older) if known else ())
        try:
            new._write_beside(path).replace(path)
        except OSError as error:
            raise InvalidKey(path, f"it cannot be written ({error.strerror})") from error
        return new

    @classmethod
    def read_or_create(cls, path: Path) -> Self:
        """Read a key file, or make one with a new key; processes that do so at the same time get the same key.

        Raises:
            InvalidKey: as `read`, or if it cannot be written.
        """
        if not path.exists():
            try:
                aside = cls._new()._write_beside(path)
                with contextlib.suppress(FileExistsError):
                    path.hardlink_to(aside)
                aside.unlink()
            except OSError as error:
                raise InvalidKey(path, f"it cannot be written ({error.strerror})") from error
        return cls.read(path)

    @classmethod
    def _new(cls, older: tuple[bytes, ...] = ()) -> Self:
        return cls(secrets.token_hex(MIN_KEY_BYTES).encode(), older)

    def _write_beside(self, path: Path) -> Path:
        """Write the keys, durable and readable by their owner only, into a new file beside `path`; return its path."""
        aside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            disk.keep_owner(path, descriptor)
            file.write(b"".join(key + b"\n" for key in (self.secret, *self.older)))
            file.flush()
            os.fsync(descriptor)
        return aside

    def sign(self, manifest: bytes) -> str:
        """Return the signature of a manifest's bytes, 64 hexadecimal digits."""
        return _signature(self.secret, manifest)

    def verifies(self, manifest: bytes, signature: str) -> bool:
        """Return whether one of the keys signed exactly these bytes. Compares in constant time."""
        given = signature.encode()
        matching = [
            hmac.compare_digest(_signature(secret, manifest).encode(), given) for secret in (self.secret, *self.older)
        ]
        return any(matching)


def _signature(secret: bytes, manifest: bytes) -> str:
    return hmac.new(secret, _PURPOSE + manifest, hashlib.sha256).hexdigest()


def _require_private(path: Path, found: os.stat_result) -> None:
    """Reject a file that anyone but its owner and group may read, or anyone but its owner may write.

    Raises:
        InvalidKey.
    """
    if not stat.S_ISREG(found.st_mode):
        raise InvalidKey(path, "it is no file")
    if disk.is_exposed(path, found):
        raise InvalidKey(path, "others may read or write it; chmod 600 it, and make a new key if it was so for long")
