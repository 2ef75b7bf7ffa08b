"""The versioned store on disk: list, read, publish, activate, remove; it must not know what is inside `model.pt`.

Layout: `<root>/<name>/<integer version>/{model.pt, manifest.json, ...}` and `<root>/<name>/ACTIVE`.
A version appears whole or not at all, and a number is never used twice (see `publish`).
Names that come from a request are matched against a pattern before they touch a path.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from modelstore.disk import replace, sync, write
from modelstore.errors import (
    BrokenVersion,
    InvalidName,
    NotPermitted,
    PublishError,
    UnknownModel,
    UnknownVersion,
    VersionInUse,
)
from modelstore.manifest import Manifest
from modelstore.signing import SigningKey

MODEL_FILE = "model.pt"
MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.sig"
ACTIVE_FILE = "ACTIVE"
PREVIOUS_FILE = "PREVIOUS"
LAST_VERSION_FILE = "LAST_VERSION"
LOCK_FILE = ".lock"
STAGING_PREFIX = ".staging-"
REMOVED_PREFIX = ".removed-"
PERMITS_FOLDER = ".permits"
MAX_MANIFEST_BYTES = 16 << 20
MAX_SIGNATURE_BYTES = 128

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_ATTACHMENT = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_JOB = re.compile(r"[0-9a-z]{1,64}")


def check_name(name: str) -> str:
    """Return the name if it can be a model's.

    Raises:
        InvalidName: unless it is 1 to 64 of a-z, 0-9, `_`, `-`, starting with a letter or digit.
    """
    if not _NAME.fullmatch(name):
        raise InvalidName("a model name", name, "1 to 64 of a-z, 0-9, '_' and '-', starting with a letter or digit")
    return name


def check_version(version: int | str) -> int:
    """Return the version as an integer.

    Raises:
        InvalidName: unless it is a whole number from 1 to 999999999 without leading zeros.
    """
    if isinstance(version, bool) or not _VERSION.fullmatch(str(version)):
        raise InvalidName("a version", version, "a whole number from 1 to 999999999")
    return int(version)


@dataclass(frozen=True)
class ModelVersion:
    """One published version: where it lies, and how to read it.

    Attributes:
        key: what must have signed it; None asks for no signature.
    """

    name: str
    version: int
    path: Path
    key: SigningKey | None = None

    def manifest(self) -> Manifest:
        """Read and check the manifest.

        Raises:
            BrokenVersion: if it is missing, too large, malformed, of another model, or not signed by the key.
        """
        data = self.manifest_bytes()
        self._check_signature(data)
        return self.parsed(data)

    def manifest_bytes(self) -> bytes:
        """Return the bytes of the manifest, unchecked.

        Raises:
            BrokenVersion: if it is missing or too large.
        """
        return self._read(MANIFEST_FILE, MAX_MANIFEST_BYTES)

    def parsed(self, data: bytes) -> Manifest:
        """Return the manifest of these bytes, whoever signed them.

        Raises:
            BrokenVersion: if it is malformed, or of another model.
        """
        try:
            manifest = Manifest.from_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise self._broken("manifest_invalid", f"{where}: {first['msg']}") from error
        if manifest.name != self.name:
            raise self._broken("manifest_name", f"the manifest is that of model {manifest.name!r}")
        return manifest

    def model_bytes(self, manifest: Manifest) -> bytes:
        """Return the very bytes of `model.pt` whose hash was checked; load from these, not from the file.

        Raises:
            BrokenVersion: if size or sha256 differ from the manifest's.
        """
        data = self._read(MODEL_FILE, manifest.size_bytes)
        if len(data) != manifest.size_bytes:
            raise self._broken("integrity_size", f"{MODEL_FILE} has {len(data)} of {manifest.size_bytes} bytes")
        if hashlib.sha256(data).hexdigest() != manifest.sha256:
            raise self._broken("integrity_sha256", f"{MODEL_FILE} is not the file that was published")
        return data

    def attachment(self, file: str, limit_bytes: int) -> bytes:
        """Return a further file of the version, such as a plot.

        Raises:
            InvalidName: if no attachment can have that name.
            BrokenVersion: if it is missing or larger than the limit.
        """
        _checked({file: b""})
        return self._read(file, limit_bytes)

    def fingerprint(self) -> tuple[int, ...]:
        """Return numbers that change when `model.pt` or `manifest.json` is replaced or written; cheap, no hash."""
        numbers: list[int] = []
        for file in (MODEL_FILE, MANIFEST_FILE, SIGNATURE_FILE):
            with contextlib.suppress(OSError):
                status = (self.path / file).stat(follow_symlinks=False)
                numbers += [status.st_ino, status.st_size, status.st_mtime_ns]
        return tuple(numbers)

    def _check_signature(self, manifest: bytes) -> None:
        if self.key is None:
            return
        if not os.path.lexists(self.path / SIGNATURE_FILE):
            raise self._broken("signature_missing", f"there is no {SIGNATURE_FILE}, and this store wants signatures")
        signature = self._read(SIGNATURE_FILE, MAX_SIGNATURE_BYTES).decode("ascii", "replace").strip()
        if not self.key.verifies(manifest, signature):
            raise self._broken("signature_wrong", f"{MANIFEST_FILE} is not what the signing key signed")

    def _read(self, file: str, limit_bytes: int) -> bytes:
        try:
            with open(self.path / file, "rb", opener=_open_plain) as stream:
                size_bytes = os.fstat(stream.fileno()).st_size  # a wrong limit must not reserve memory for itself
                data = stream.read(min(size_bytes, limit_bytes) + 1)
        except OSError as error:
            problem = "is a symbolic link" if error.errno == errno.ELOOP else "cannot be read"
            raise self._broken("file_unreadable", f"{file} {problem}") from error
        if len(data) > limit_bytes:
            raise self._broken("integrity_size", f"{file} is larger than {limit_bytes} bytes")
        return data

    def _broken(self, reason: str, detail: str) -> BrokenVersion:
        return BrokenVersion(self.name, self.version, reason, detail)


@dataclass(frozen=True)
class Permit:
    """The right of one job to publish, which whoever watches over it may take back.

    Attributes:
        job: id of the job, 1 to 64 of a-z and 0-9.
        token: what `ModelRepository.permit` returned.
    """

    job: str
    token: str


class ModelRepository:
    """The versions under one root folder, shared by every process that trains or serves.

    With a key, what is published is signed, and what is not signed by it is broken.
    """

    def __init__(self, root: Path, key: SigningKey | None = None) -> None:
        self.root = root
        self.key = key

    def names(self) -> tuple[str, ...]:
        """Return the names of all models with at least one version, sorted."""
        return tuple(name for name in _folders(self.root, _NAME) if self.versions(name))

    def versions(self, name: str) -> tuple[int, ...]:
        """Return the published versions of a model, ascending; empty if there are none."""
        return tuple(sorted(map(int, _folders(self.root / check_name(name), _VERSION))))

    def find(self, name: str, version: int) -> ModelVersion:
        """Return one published version, unread.

        Raises:
            UnknownModel, UnknownVersion, InvalidName.
        """
        known = self.versions(name)
        if not known:
            raise UnknownModel(name, self.names())
        if check_version(version) not in known:
            raise UnknownVersion(name, version, known)
        return ModelVersion(name, version, self.root / name / str(version), self.key)

    def active(self, name: str) -> int | None:
        """Return the version that should serve, or None if none was activated yet."""
        return _read_number(self.root / check_name(name) / ACTIVE_FILE)

    def activate(self, name: str, version: int) -> None:
        """Make a published version the one that serves; durable when this returns.

        Raises:
            UnknownModel, UnknownVersion, InvalidName.
            PublishError: if the store cannot be written.
        """
        found = self.find(name, version)
        folder = found.path.parent
        with self._writing(name):
            self.find(name, version)  # it may have been removed before the lock was ours
            active = _read_number(folder / ACTIVE_FILE)
            if active not in (None, version):
                replace(folder / PREVIOUS_FILE, f"{active}\n".encode())
            replace(folder / ACTIVE_FILE, f"{version}\n".encode())

    def sign(self, name: str, version: int) -> None:
        """Sign a version that was published without the key, after looking at it: the key vouches for it from then on.

        Raises:
            UnknownModel, UnknownVersion, InvalidName, PublishError.
            BrokenVersion: if it is not what its manifest promises.
            ValueError: if the repository has no key.
        """
        if self.key is None:
            raise ValueError("signing needs a key")
        found = self.find(name, version)
        document = found.manifest_bytes()
        found.model_bytes(found.parsed(document))
        with self._writing(name):
            replace(found.path / SIGNATURE_FILE, f"{self.key.sign(document)}\n".encode())

    def previous(self, name: str) -> int | None:
        """Return the version that was active before the active one, or None."""
        return _read_number(self.root / check_name(name) / PREVIOUS_FILE)

    def remove(self, name: str, version: int) -> None:
        """Remove a version for good; its number is not used again.

        Raises:
            UnknownModel, UnknownVersion, InvalidName.
            VersionInUse: if it is the active one.
            PublishError: if the store cannot be written.
        """
        self.find(name, version)
        with self._writing(name):
            self._remove(self.find(name, version))

    def prune(self, name: str, keep: int) -> tuple[int, ...]:
        """Remove all versions but the newest, the active one and the one before that; return what was removed.

        Args:
            name: of the model.
            keep: how many of the newest to keep, at least 1.

        Raises:
            PublishError: if the store cannot be written.
        """
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}")
        with self._writing(name):
            spared = {self.active(name), self.previous(name)}
            old = [version for version in self.versions(name)[:-keep] if version not in spared]
            for version in old:
                self._remove(self.find(name, version))
        return tuple(old)

    def permit(self, name: str, job: str) -> str:
        """Give a job the right to publish versions of a model, and return the token to show.

        Raises:
            InvalidName: if name or job could be no name.
            PublishError: if the store cannot be written.
        """
        path = self._permit_path(name, job)
        token = secrets.token_hex(16)
        with self._writing(name):
            path.parent.mkdir(exist_ok=True)
            replace(path, token.encode())
        return token

    def revoke(self, name: str, job: str) -> None:
        """Take the right back: when this returns, what the job has not published it cannot publish any more.

        Raises:
            InvalidName, PublishError: likewise.
        """
        path = self._permit_path(name, job)
        with self._writing(name):
            path.unlink(missing_ok=True)

    def publish(
        self,
        manifest: Manifest,
        model: bytes,
        attachments: Mapping[str, bytes] | None = None,
        permit: Permit | None = None,
    ) -> ModelVersion:
        """Add a version; it appears whole, under the next free number, or not at all.

        The files are written to a dot-folder beside the versions, synced, and the folder renamed under the model's
        lock; the parent is synced last, so a version that was returned survives a loss of power
        (the order of PostgreSQL's `durable_rename`).

        Args:
            manifest: of this very `model`: size and sha256 must fit.
            model: the bytes of `model.pt`.
            attachments: further files of the version, such as plots, by bare file name.
            permit: of the job that publishes; a person needs none.

        Raises:
            PublishError: if the store cannot be written; the store is as before.
            NotPermitted: if the permit was taken back; the store is as before.
        """
        folder = self.root / check_name(manifest.name)
        if (hashlib.sha256(model).hexdigest(), len(model)) != (manifest.sha256, manifest.size_bytes):
            raise PublishError(manifest.name, "the manifest is not that of this model file", self.root)
        document = manifest.to_json()
        files = {MODEL_FILE: model, MANIFEST_FILE: document, **_checked(attachments or {})}
        if self.key is not None:
            files[SIGNATURE_FILE] = f"{self.key.sign(document)}\n".encode()
        with self._writing(manifest.name):
            for abandoned in (*folder.glob(f"{STAGING_PREFIX}*"), *folder.glob(f"{REMOVED_PREFIX}*")):
                shutil.rmtree(abandoned, ignore_errors=True)
            staging = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=folder))
            try:
                for file, data in files.items():
                    write(staging / file, data)
                staging.chmod(0o755)
                sync(staging)
                self._require(permit, manifest.name)
                version = self._reserve(folder)
                staging.rename(folder / str(version))
            except BaseException:
                shutil.rmtree(staging, ignore_errors=True)
                raise
            sync(folder)
            sync(self.root)  # of a first version, the model's folder is new as well
        return ModelVersion(manifest.name, version, folder / str(version), self.key)

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        """Hold the model's lock, which the kernel drops with the process, and name what is wrong with the disk."""
        folder = self.root / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / LOCK_FILE).open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise PublishError(name, error.strerror or type(error).__name__, self.root, error.errno) from error

    def _remove(self, found: ModelVersion) -> None:
        """Remove a version; the caller holds the lock. Readers see it whole until the rename, then not at all."""
        if found.version == self.active(found.name):
            raise VersionInUse(found.name, found.version)
        folder = found.path.parent
        aside = Path(tempfile.mkdtemp(prefix=REMOVED_PREFIX, dir=folder))
        found.path.rename(aside / found.path.name)
        sync(folder)
        shutil.rmtree(aside, ignore_errors=True)

    def _permit_path(self, name: str, job: str) -> Path:
        if not _JOB.fullmatch(job):
            raise InvalidName("a job", job, "1 to 64 of a-z and 0-9")
        return self.root / check_name(name) / PERMITS_FOLDER / job

    def _require(self, permit: Permit | None, name: str) -> None:
        """Check a permit; the caller holds the lock, under which permits are given and taken back."""
        if permit is None:
            return
        path = self._permit_path(name, permit.job)
        try:
            token = path.read_text("ascii")
        except (FileNotFoundError, NotADirectoryError):
            token = ""
        if not secrets.compare_digest(token, permit.token):
            raise NotPermitted(name, permit.job)

    def _reserve(self, folder: Path) -> int:
        """Return the next number, written down first so that a removed version's number is not used again."""
        last = _read_number(folder / LAST_VERSION_FILE) or 0
        version = check_version(max((last, *map(int, _folders(folder, _VERSION)))) + 1)
        replace(folder / LAST_VERSION_FILE, f"{version}\n".encode())
        return version


def _folders(parent: Path, pattern: re.Pattern[str]) -> list[str]:
    """Return the names of real folders (no links) in `parent` that fit the pattern, sorted."""
    try:
        with os.scandir(parent) as entries:
            return sorted(e.name for e in entries if pattern.fullmatch(e.name) and e.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _open_plain(path: str, flags: int) -> int:
    """Open without following a link, and without waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _read_number(path: Path) -> int | None:
    try:
        text = path.read_text("ascii").strip()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, UnicodeDecodeError):
        return None
    return int(text) if _VERSION.fullmatch(text) else None


def _checked(attachments: Mapping[str, bytes]) -> Mapping[str, bytes]:
    for file in attachments:
        if not _ATTACHMENT.fullmatch(file) or file in (MODEL_FILE, MANIFEST_FILE, SIGNATURE_FILE):
            raise InvalidName("an attachment", file, "a bare lower-case file name")
    return attachments
