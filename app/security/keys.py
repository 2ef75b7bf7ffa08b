"""API keys: their format, and the file that stores their digests.

A key is `tabserve_<id>_<secret>`. Only its SHA-256 is stored: a secret of 256 random bits needs no slow hash. The id
is not secret, so logs and limits may name it. This module must not know HTTP, nor which keys are accepted now.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from app.errors import ConfigurationError
from modelstore import disk

MAX_KEYS = 1000
MAX_FILE_BYTES = 1 << 20
SECRET_BYTES = 32

FORM = re.compile(rb"tabserve_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")


class Scope(StrEnum):
    """Permission of a key; no scope implies another."""

    PREDICT = "predict"
    TRAIN = "train"
    ADMIN = "admin"
    METRICS = "metrics"


class Key(BaseModel):
    """A stored key.

    Attributes:
        sha256: digest of the whole key, in hexadecimal.
        expires: end of its validity; None for no end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    note: Annotated[str, Field(max_length=200)] = ""

    @property
    def expired(self) -> bool:
        """Whether the key has expired, by the wall clock."""
        return self.expires is not None and self.expires <= datetime.now(UTC)


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    keys: Annotated[tuple[Key, ...], Field(max_length=MAX_KEYS)]


class UnreadableKeys(ConfigurationError):
    """The key file cannot be used; the message names the file and its fault."""


class KeyFile:
    """The file that stores the keys."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[Key, ...]:
        """Return all keys, including expired ones.

        Raises:
            UnreadableKeys: if the file is missing, empty or not a list of keys, or others may read or write it.
        """
        try:
            with self.path.open("rb") as file:
                self._require_private(os.fstat(file.fileno()))
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise self._error(f"{error.strerror or error}") from error
        if len(content) > MAX_FILE_BYTES:
            raise self._error(f"has more than {MAX_FILE_BYTES} bytes")
        try:
            keys = _Document.model_validate_json(content).keys
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, fault["loc"])) or "the file"
            raise self._error(f"{place}: {fault['msg'].lower()}") from error
        if not keys:
            raise self._error("holds no key")
        if len({key.id for key in keys}) != len(keys) or len({key.sha256 for key in keys}) != len(keys):
            raise self._error("holds a key twice")
        return keys

    def create(self, scopes: frozenset[Scope], expires: datetime | None, note: str) -> str:
        """Add a new key and return it; it cannot be recovered later.

        Raises:
            UnreadableKeys: if an existing file cannot be used, or the file cannot be written.
        """
        identity = secrets.token_hex(6)
        key = f"tabserve_{identity}_{secrets.token_urlsafe(SECRET_BYTES)}"
        ordered = tuple(scope for scope in Scope if scope in scopes)
        created = datetime.now(UTC).replace(microsecond=0)
        digest = digest_of(key.encode()).hex()
        stored = Key(id=identity, scopes=ordered, sha256=digest, created=created, expires=expires, note=note)
        with self._lock_for_change():
            known = self.read() if self.path.exists() else ()
            if len(known) >= MAX_KEYS:
                raise self._error(f"holds {MAX_KEYS} keys, and no more may; revoke some")
            self._write((*known, stored))
        return key

    def revoke(self, identity: str) -> bool:
        """Remove a key and return whether there was one of this id.

        Raises:
            UnreadableKeys: if the file cannot be used or written, or this is its last key.
        """
        with self._lock_for_change():
            known = self.read()
            left = tuple(key for key in known if key.id != identity)
            if not left:
                raise self._error("would be left without a key: create another one first")
            if len(left) < len(known):
                self._write(left)
        return len(left) < len(known)

    def _require_private(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise self._error("is not a file")
        if disk.is_exposed(self.path, found):
            raise self._error("may be read or written by others; chmod 600 it")

    def _write(self, keys: tuple[Key, ...]) -> None:
        """Replace the file atomically; a new file gets mode 0600, a replacement keeps owner and mode."""
        document = _Document(keys=keys).model_dump_json(indent=2)
        try:
            descriptor, aside = tempfile.mkstemp(prefix=f".{self.path.name}-", dir=self.path.parent)  # mode 0600
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    disk.keep_owner(self.path, file.fileno())
                    file.write(document + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                Path(aside).replace(self.path)
            except BaseException:
                Path(aside).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise self._error(f"cannot be written: {error.strerror or error}") from error

    @contextlib.contextmanager
    def _lock_for_change(self) -> Iterator[None]:
        """Lock the file for changes, in all processes; the lock is on its folder, because the file is replaced."""
        try:
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise self._error(f"{error.strerror or error}") from error
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _error(self, what: str) -> UnreadableKeys:
        return UnreadableKeys(f"TABSERVE_KEYS_FILE={self.path}: {what}; python -m app keys create makes a good one")


def digest_of(key: bytes) -> bytes:
    """Return the digest that is stored for a key."""
    return hashlib.sha256(key).digest()
