"""Signatures of manifests, so that a store which others can write serves nothing but what the key's holder made.

The manifest names the sha256 of `model.pt`, so its signature vouches for both. It must not know where they lie.
"""

from __future__ import annotations

import hashlib
import hmac
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from modelstore.errors import InvalidKey

MIN_KEY_BYTES = 32
_PURPOSE = b"tabserve manifest v1\0"  # a key that signs other things too must not vouch for these by accident


@dataclass(frozen=True)
class SigningKey:
    """A secret that signs manifests, HMAC-SHA-256 (RFC 2104)."""

    secret: bytes = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a key file; white space around the key does not count.

        Raises:
            InvalidKey: if it cannot be read, has fewer than 32 bytes, or others than its owner and group may read it.
        """
        try:
            others_may_read = path.stat().st_mode & stat.S_IROTH
            secret = path.read_bytes().strip()
        except OSError as error:
            raise InvalidKey(path, f"it cannot be read ({error.strerror})") from error
        if others_may_read:
            raise InvalidKey(path, "everybody may read it; chmod 600 it, and make a new key if it was so for long")
        if len(secret) < MIN_KEY_BYTES:
            raise InvalidKey(
                path, f"expected at least {MIN_KEY_BYTES} bytes, got {len(secret)}; try openssl rand -hex 32"
            )
        return cls(secret)

    def sign(self, manifest: bytes) -> str:
        """Return the signature of a manifest's bytes, 64 hexadecimal digits."""
        return hmac.new(self.secret, _PURPOSE + manifest, hashlib.sha256).hexdigest()

    def verifies(self, manifest: bytes, signature: str) -> bool:
        """Tell whether this key signed these very bytes; takes as long for a wrong signature as for a right one."""
        return hmac.compare_digest(self.sign(manifest).encode(), signature.encode())
