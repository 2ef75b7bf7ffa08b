"""Access to the model store on disk for known models, with the service's own errors.

Every method of `ModelStore` reads or writes the disk. A name from a request becomes part of a path only after it is
found to be a known model. This module must not know which versions are loaded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

import modelstore
from app.errors import ConfigurationError, ServingError, StoreUnavailable
from app.registry.errors import NotComparable, NotShadow, PictureNotFound, VersionInUse, VersionNotFound
from app.runtime.errors import VersionRefused
from app.settings import Settings
from modelstore import (
    BrokenVersion,
    CardStatements,
    Manifest,
    ModelRepository,
    ModelVersion,
    SigningKey,
    VersionComparison,
)

MAX_PICTURE_BYTES = 16 << 20


class ModelStore:
    """The model store as the routes and the registry see it."""

    def __init__(self, repository: ModelRepository, known: Callable[[str], object]) -> None:
        """Wrap a repository; `known` raises ModelNotFound if there is no model of that name."""
        self._repository = repository
        self._known = known

    def names(self) -> tuple[str, ...]:
        """Return the names of all models in the store."""
        return self._repository.names()

    def versions(self, name: str) -> tuple[int, ...]:
        """Return the published versions of a model, ascending.

        Raises:
            ModelNotFound, StoreUnavailable.
        """
        with self._access(name):
            return self._repository.versions(name)

    def previous(self, name: str) -> int | None:
        """Return the version that was active before the active one.

        Raises:
            ModelNotFound, StoreUnavailable.
        """
        with self._access(name):
            return self._repository.previous(name)

    def find(self, name: str, version: int) -> ModelVersion:
        """Return a published version without reading its files.

        Raises:
            ModelNotFound, VersionNotFound.
        """
        with self._access(name):
            return self._repository.find(name, version)

    def fingerprint(self, name: str, version: int) -> tuple[int, ...]:
        """Return numbers that change when the files of a version do.

        Raises:
            ModelNotFound, VersionNotFound.
        """
        return self.find(name, version).fingerprint()

    def digest(self, name: str, version: str) -> str | None:
        """Return the sha256 in a version's manifest, or None if the version does not exist or cannot be read."""
        try:
            return self.find(name, int(version)).manifest().sha256
        except (ValueError, OSError, ServingError, modelstore.StoreError):
            return None

    def manifest(self, name: str, version: int) -> Manifest:
        """Return the manifest of a version.

        Raises:
            ModelNotFound, VersionNotFound.
            VersionRefused: if it cannot be read.
        """
        found = self.find(name, version)
        with _intact():
            return found.manifest()

    def pictures(self, name: str, version: int) -> tuple[str, ...]:
        """Return the names of the PNG files of a version.

        Raises:
            ModelNotFound, VersionNotFound, StoreUnavailable.
        """
        with self._access(name):
            return self._repository.find(name, version).pictures()

    def plot_data(self, name: str, version: int) -> tuple[str, ...]:
        """Return the names of the JSON files of a version that hold what plots show.

        Raises:
            ModelNotFound, VersionNotFound, StoreUnavailable.
        """
        with self._access(name):
            return self._repository.find(name, version).plot_data()

    def plot(self, name: str, version: int, file: str) -> bytes:
        """Return a PNG file of a version, or the data of a plot.

        Raises:
            ModelNotFound, VersionNotFound, PictureNotFound, StoreUnavailable.
            VersionRefused: if it cannot be read, or is larger than 16 MiB.
        """
        known = self.plot_data(name, version) if file.endswith(".json") else self.pictures(name, version)
        if file not in known:
            raise PictureNotFound(name, version, known)
        found = self.find(name, version)
        with _intact():
            return found.attachment(file, MAX_PICTURE_BYTES)

    def open_model(self, name: str, version: int) -> tuple[Manifest, BinaryIO]:
        """Return the manifest of a version and its `model.pt`, open for reading; its hash was checked.

        Raises:
            ModelNotFound, VersionNotFound.
            VersionRefused: if one of them is not as it was published.
        """
        found = self.find(name, version)
        with _intact():
            manifest = found.manifest()
            return manifest, found.open_model(manifest)

    def statements(self, name: str) -> CardStatements:
        """Return what people stated about a model.

        Raises:
            ModelNotFound, StoreUnavailable.
        """
        with self._access(name):
            return self._repository.statements(name)

    def state(self, name: str, statements: CardStatements) -> None:
        """Replace what people stated about a model; durable when this returns.

        Raises:
            ModelNotFound, StoreUnavailable.
        """
        with self._access(name):
            self._repository.set_statements(name, statements)

    def compare(self, name: str, versions: tuple[int, int]) -> VersionComparison:
        """Compare two versions on the test rows on which both were evaluated.

        Raises:
            ModelNotFound, VersionNotFound.
            NotComparable: if they were tested on different rows, or one cannot be read.
        """
        first, second = (self.find(name, version) for version in versions)
        try:
            return modelstore.compare_versions(first, second)
        except (modelstore.NotComparable, BrokenVersion) as error:
            raise NotComparable(str(error)) from error

    def activate(self, name: str, version: int) -> None:
        """Record on disk which version is active; durable when this returns.

        Raises:
            ModelNotFound, VersionNotFound, StoreUnavailable.
        """
        with self._access(name):
            self._repository.activate(name, version)

    def start_shadow(self, name: str, version: int) -> None:
        """Record on disk which version is the shadow of the active one; durable when this returns.

        Raises:
            ModelNotFound, VersionNotFound, StoreUnavailable.
        """
        with self._access(name):
            self._repository.start_shadow(name, version)

    def end_shadow(self, name: str, version: int) -> None:
        """Record on disk that a version is no shadow any more; durable when this returns.

        Raises:
            ModelNotFound, NotShadow, StoreUnavailable.
        """
        with self._access(name):
            self._repository.end_shadow(name, version)

    def promote(self, name: str, version: int, active: int) -> None:
        """Record on disk that the shadow of a version is the active one; durable when this returns.

        Raises:
            ModelNotFound, VersionNotFound, StoreUnavailable.
            NotShadow: if another version is active now, or has become the shadow.
        """
        with self._access(name):
            self._repository.promote(name, version, active)

    def remove(self, name: str, version: int) -> None:
        """Remove a version permanently.

        Raises:
            ModelNotFound, VersionNotFound, VersionInUse, StoreUnavailable.
        """
        with self._access(name):
            self._repository.remove(name, version)

    def remove_model(self, name: str) -> None:
        """Remove all versions of a model permanently.

        Raises:
            ModelNotFound, StoreUnavailable.
        """
        with self._access(name), contextlib.suppress(modelstore.UnknownModel):  # removed meanwhile
            self._repository.remove_model(name)

    @contextlib.contextmanager
    def _access(self, name: str) -> Iterator[None]:
        """Require a known model, and translate errors of the store into the service's errors for clients."""
        self._known(name)
        try:
            yield
        except (modelstore.UnknownVersion, modelstore.UnknownModel, modelstore.InvalidName) as error:
            raise VersionNotFound(name, self._repository.versions(name)) from error
        except modelstore.VersionInUse as error:
            raise VersionInUse(name, error.version) from error
        except modelstore.NotShadow as error:
            raise NotShadow(name, error.version, error.shadow) from error
        except modelstore.PublishError as error:
            raise StoreUnavailable(f"the model store cannot be written now: {error.reason}") from error
        except OSError as error:
            raise StoreUnavailable(f"the model's folder cannot be read now: {error.strerror}") from error


@contextlib.contextmanager
def _intact() -> Iterator[None]:
    """Translate the error of a version that is not as it was published."""
    try:
        yield
    except BrokenVersion as error:
        raise VersionRefused(error.name, error.version, error.reason, error.detail) from error


def read_signing_key(settings: Settings) -> SigningKey | None:
    """Read the key that verifies signatures; None if the settings require none.

    Raises:
        ConfigurationError: if the key file cannot be used.
    """
    if settings.signing_key_file is None:
        return None
    try:
        return SigningKey.read(settings.signing_key_file)
    except modelstore.InvalidKey as error:
        raise ConfigurationError(f"TABSERVE_SIGNING_KEY_FILE: {error}") from error
