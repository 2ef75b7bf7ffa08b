"""The versioned model repository on disk: list, publish, activate and remove versions.

Layout: `<root>/<name>/<integer version>/{model.pt, manifest.json, ...}` and `<root>/<name>/ACTIVE`.
A version appears whole or not at all; a number is never reused (see `publish`). It must not know what is in `model.pt`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from modelstore import permits
from modelstore.card import CardStatements, read_statements
from modelstore.disk import folders, replace, stage, sync
from modelstore.errors import NotPermitted, NotShadow, UnknownModel, UnknownVersion, VersionInUse
from modelstore.locking import writing
from modelstore.manifest import Manifest
from modelstore.markers import mark_active, read_number, reserve, unmark_shadow
from modelstore.names import (
    ACTIVE_FILE,
    CARD_FILE,
    NAME,
    PERMITS_FOLDER,
    PREVIOUS_FILE,
    SHADOW_FILE,
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
        with self._changing(name, version) as folder:
            mark_active(folder, version)

    def shadow(self, name: str) -> int | None:
        """Return the version whose answers are only compared with those of the active one, or None."""
        return read_number(self.root / check_name(name) / SHADOW_FILE)

    def start_shadow(self, name: str, version: int) -> None:
        """Make a published version the shadow of the active one, in place of another; durable when this returns.

        Raises:
            UnknownModel, UnknownVersion, InvalidName.
            PublishError: if the store cannot be written.
        """
        with self._changing(name, version) as folder:
            replace(folder / SHADOW_FILE, f"{version}\n".encode())

    def end_shadow(self, name: str, version: int) -> None:
        """Leave the active version without a shadow; durable when this returns.

        Raises:
            InvalidName, PublishError.
            NotShadow: if this version is not the shadow.
        """
        with writing(self.root, name) as folder:
            if not unmark_shadow(folder, version):
                raise NotShadow(name, version, self.shadow(name))

    def promote(self, name: str, version: int, active: int) -> None:
        """Make the shadow of a version the active one, once, unless either has changed; durable when this returns.

        Raises:
            UnknownModel, UnknownVersion, InvalidName, PublishError.
            NotShadow: if another version is active now, or has become the shadow.
        """
        with self._changing(name, version) as folder:
            if (self.active(name), self.shadow(name)) != (active, version):
                raise NotShadow(name, version, self.shadow(name))
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
        manifest = found.parse(document)
        found.model_bytes(manifest)
        found.onnx_bytes(manifest)
        with writing(self.root, name):
            replace(found.path / SIGNATURE_FILE, f"{self.key.sign(document)}\n".encode())

    def previous(self, name: str) -> int | None:
        """Return the previously active version, or None."""
        return read_number(self.root / check_name(name) / PREVIOUS_FILE)

    def statements(self, name: str) -> CardStatements:
        """Return what people stated about a model for the cards of all its versions.

        Raises:
            OSError: if the file cannot be read.
        """
        return read_statements(self.root / check_name(name) / CARD_FILE)

    def set_statements(self, name: str, statements: CardStatements) -> None:
        """Replace what people stated about a model; the change is durable when this returns.

        Raises:
            UnknownModel, InvalidName.
            PublishError: if the store cannot be written.
        """
        if not self.versions(name):
            raise UnknownModel(name, self.names())
        with writing(self.root, name) as folder:
            replace(folder / CARD_FILE, statements.model_dump_json(exclude_none=True).encode() + b"\n")

    def remove(self, name: str, version: int) -> None:
        """Remove a version permanently; its number is not reused.

        Raises:
            UnknownModel, UnknownVersion, InvalidName.
            VersionInUse: if it is the active one.
            PublishError: if the store cannot be written.
        """
        with self._changing(name, version) as folder:
            if version == self.active(name):
                raise VersionInUse(name, version)
            unmark_shadow(folder, version)
            remove_entries(folder, (str(version),))

    def remove_model(self, name: str) -> tuple[int, ...]:
        """Remove all versions of a model permanently, and return their numbers, which are not reused.

        A training of it that runs may not publish any more. The active version is removed last.

        Raises:
            UnknownModel, InvalidName.
            PublishError: if the store cannot be written.
        """
        if not self.versions(name):
            raise UnknownModel(name, self.names())
        with writing(self.root, name) as folder:
            versions, active = self.versions(name), self.active(name)
            ordered = sorted(versions, key=lambda version: version == active)
            beside = (PERMITS_FOLDER, PREVIOUS_FILE, SHADOW_FILE, CARD_FILE)
            remove_entries(folder, (*beside, *map(str, ordered), ACTIVE_FILE))
        return versions

    def prune(self, name: str, keep: int) -> tuple[int, ...]:
        """Remove all but the newest versions, the active one, its predecessor and its shadow; return the removed ones.

        Args:
            name: name of the model.
            keep: number of newest versions to keep, at least 1.

        Raises:
            PublishError: if the store cannot be written.
        """
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}")
        with writing(self.root, name) as folder:
            spared = {self.active(name), self.previous(name), self.shadow(name)}
            old = tuple(version for version in self.versions(name)[:-keep] if version not in spared)
            if old:
                remove_entries(folder, map(str, old))
        return old

    def permit(self, name: str, job: str) -> str:
        """Give a job a permit to publish versions of a model, and return its token.

        Raises:
            InvalidName: if the name of the model or the job id is not valid.
            PublishError: if the store cannot be written.
        """
        check_job(job)
        with writing(self.root, name) as folder:
            return permits.give(folder, job)

    def revoke(self, name: str, job: str) -> None:
        """Revoke the permit of a job: once this has returned, the job cannot publish.

        Raises:
            InvalidName, PublishError: as in `permit`.
        """
        check_job(job)
        with writing(self.root, name) as folder:
            permits.revoke(folder, job)

    def publish(
        self,
        manifest: Manifest,
        model: bytes,
        attachments: Mapping[str, bytes] | None = None,
        permit: Permit | None = None,
        onnx: bytes | None = None,
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
            onnx: bytes of `model.onnx`, if the manifest has one.

        Raises:
            PublishError: if the store cannot be written, or a reader would refuse the version; the store is unchanged.
            NotPermitted: if the permit was revoked; the store is unchanged.
        """
        files = files_of(manifest, model, attachments or {}, onnx=onnx, root=self.root, key=self.key)
        with writing(self.root, manifest.name) as folder:
            remove_abandoned(folder)
            with stage(folder, STAGING_PREFIX, files) as staging:
                require_readable(ModelVersion(manifest.name, 0, staging, self.key), self.root)
                if permit is not None and not permits.is_valid(folder, permit):
                    raise NotPermitted(manifest.name, permit.job)
                version = reserve(folder)
                staging.rename(folder / str(version))
            sync(folder)
            sync(self.root)  # for a first version, the model's folder is new as well
        return ModelVersion(manifest.name, version, folder / str(version), self.key)

    @contextlib.contextmanager
    def _changing(self, name: str, version: int) -> Iterator[Path]:
        """Hold the lock of a model that has this version, and yield the model's folder."""
        self.find(name, version)
        with writing(self.root, name) as folder:
            self.find(name, version)  # it may have been removed before this process got the lock
            yield folder

    def _may_have_versions(self, name: str) -> bool:
        try:
            return bool(self.versions(name))
        except OSError:  # the error is raised where its versions are used; other models stay listed
            return True
