"""The versioned model repository on disk: list, publish, activate and remove versions.

Layout: `<root>/<name>/<integer version>/{model.pt, manifest.json, ...}` and `<root>/<name>/ACTIVE`.
A version appears whole or not at all, and a version number is never reused (see `publish`). The content of `model.pt`
is not known here.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Mapping
from pathlib import Path

from modelstore import permits
from modelstore.disk import folders, replace, staged, sync
from modelstore.errors import NotPermitted, PublishError, UnknownModel, UnknownVersion, VersionInUse
from modelstore.manifest import Manifest
from modelstore.markers import mark_active, read_number, reserve
from modelstore.names import (
    ACTIVE_FILE,
    LOCK_FILE,
    NAME,
    PERMITS_FOLDER,
    PREVIOUS_FILE,
    SIGNATURE_FILE,
    STAGING_PREFIX,
    VERSION,
    check_job,
    check_name,
    check_version,
)
from modelstore.permits import Permit
from modelstore.publishing import files_of, require_readable
from modelstore.removal import remove_abandoned, remove_entries
from modelstore.signing import SigningKey
from modelstore.versions import ModelVersion


class ModelRepository:
    """The versions under one root folder, shared by all training and serving processes.

    With a key, every published version is signed, and a version without a valid signature is broken.
    """

    def __init__(self, root: Path, key: SigningKey | None = None) -> None:
        self.root = root
        self.key = key

    def names(self) -> tuple[str, ...]:
        """Return the sorted names of all models with at least one version, or with a folder that cannot be listed.

        Raises:
            OSError: if the root cannot be listed; a missing root counts as empty.
        """
        return tuple(name for name in folders(self.root, NAME) if self._may_have_versions(name))

    def versions(self, name: str) -> tuple[int, ...]:
        """Return the published versions of a model, ascending; empty if there are none.

        Raises:
            OSError: if the model's folder cannot be listed.
        """
        return tuple(sorted(map(int, folders(self.root / check_name(name), VERSION))))

    def find(self, name: str, version: int) -> ModelVersion:
        """Return one published version without reading it.

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
        """Return the active version, which should serve, or None if none was activated yet."""
        return read_number(self.root / check_name(name) / ACTIVE_FILE)

    def activate(self, name: str, version: int) -> None:
        """Make a published version the active one; the change is durable when this returns.

        Raises:
            UnknownModel, UnknownVersion, InvalidName.
            PublishError: if the store cannot be written.
        """
        self.find(name, version)
        with self._writing(name) as folder:
            self.find(name, version)  # it may have been removed before this process got the lock
            mark_active(folder, version)

    def sign(self, name: str, version: int) -> None:
        """Sign a version that was published without the key, after checking its hash; from then on it is trusted.

        Raises:
            UnknownModel, UnknownVersion, InvalidName, PublishError.
            BrokenVersion: if the version does not match its manifest.
            ValueError: if the repository has no key.
        """
        if self.key is None:
            raise ValueError("signing needs a key")
        found = self.find(name, version)
        document = found.manifest_bytes()
        found.model_bytes(found.parse(document))
        with self._writing(name):
            replace(found.path / SIGNATURE_FILE, f"{self.key.sign(document)}\n".encode())

    def previous(self, name: str) -> int | None:
        """Return the previously active version, or None."""
        return read_number(self.root / check_name(name) / PREVIOUS_FILE)

    def remove(self, name: str, version: int) -> None:
        """Remove a version permanently; its number is not reused.

        Raises:
            UnknownModel, UnknownVersion, InvalidName.
            VersionInUse: if it is the active one.
            PublishError: if the store cannot be written.
        """
        self.find(name, version)
        with self._writing(name):
            self._remove(self.find(name, version))

    def remove_model(self, name: str) -> tuple[int, ...]:
        """Remove all versions of a model permanently, and return their numbers, which are not reused.

        A training of it that runs may not publish any more. The active version is removed last.

        Raises:
            UnknownModel, InvalidName.
            PublishError: if the store cannot be written.
        """
        if not self.versions(name):
            raise UnknownModel(name, self.names())
        with self._writing(name) as folder:
            versions, active = self.versions(name), self.active(name)
            ordered = sorted(versions, key=lambda version: version == active)
            remove_entries(folder, (PERMITS_FOLDER, PREVIOUS_FILE, *map(str, ordered), ACTIVE_FILE))
        return versions

    def prune(self, name: str, keep: int) -> tuple[int, ...]:
        """Remove all but the newest versions, the active and the previously active one; return the removed versions.

        Args:
            name: name of the model.
            keep: number of newest versions to keep, at least 1.

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
        """Give a job a permit to publish versions of a model, and return its token.

        Raises:
            InvalidName: if the name of the model or the job id is not valid.
            PublishError: if the store cannot be written.
        """
        check_job(job)
        with self._writing(name) as folder:
            return permits.give(folder, job)

    def revoke(self, name: str, job: str) -> None:
        """Revoke the permit of a job: once this has returned, the job cannot publish.

        Raises:
            InvalidName, PublishError: as in `permit`.
        """
        check_job(job)
        with self._writing(name) as folder:
            permits.take_back(folder, job)

    def publish(
        self,
        manifest: Manifest,
        model: bytes,
        attachments: Mapping[str, bytes] | None = None,
        permit: Permit | None = None,
    ) -> ModelVersion:
        """Add a version under the next free number; it appears whole or not at all.

        The files are written to a dot-folder beside the versions, synced and read back as any reader would; then the
        folder is renamed under the model's lock. The parent is synced last, so a returned version survives a power
        loss (the order of PostgreSQL's `durable_rename`).

        Args:
            manifest: manifest of `model`; size and sha256 must match.
            model: bytes of `model.pt`.
            attachments: further files of the version, such as plots, by bare file name.
            permit: permit of the publishing job; a person needs none.

        Raises:
            PublishError: if the store cannot be written, or a reader would refuse the version; the store is unchanged.
            NotPermitted: if the permit was revoked; the store is unchanged.
        """
        files = files_of(manifest, model, attachments or {}, root=self.root, key=self.key)
        with self._writing(manifest.name) as folder:
            remove_abandoned(folder)
            with staged(folder, STAGING_PREFIX, files) as staging:
                require_readable(ModelVersion(manifest.name, 0, staging, self.key), self.root)
                if permit is not None and not permits.is_valid(folder, permit):
                    raise NotPermitted(manifest.name, permit.job)
                version = reserve(folder)
                staging.rename(folder / str(version))
            sync(folder)
            sync(self.root)  # for a first version, the model's folder is new as well
        return ModelVersion(manifest.name, version, folder / str(version), self.key)

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[Path]:
        """Hold the model's lock, which the kernel releases with the process; turn disk errors into PublishError."""
        folder = self.root / check_name(name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if folder.is_symlink():
                raise PublishError(name, "the model's folder is a symbolic link", self.root)
            with (folder / LOCK_FILE).open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield folder
        except OSError as error:
            raise PublishError(name, error.strerror or type(error).__name__, self.root, error.errno) from error

    def _may_have_versions(self, name: str) -> bool:
        try:
            return bool(self.versions(name))
        except OSError:  # the error is raised where its versions are used; other models stay listed
            return True

    def _remove(self, found: ModelVersion) -> None:
        """Remove a version; the caller must hold the lock."""
        if found.version == self.active(found.name):
            raise VersionInUse(found.name, found.version)
        remove_entries(found.path.parent, (found.path.name,))
