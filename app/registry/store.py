"""Access to the model store on disk for known models, with the service's own errors.

Every method of `ModelStore` reads or writes the disk. A name from a request becomes part of a path only after it is
found to be a known model. This module must not know which versions are loaded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import modelstore
from app.errors import ConfigurationError, ServingError, StoreUnavailable
from app.registry.errors import NotComparable, VersionInUse, VersionNotFound
from app.settings import Settings
from modelstore import BrokenVersion, ModelRepository, ModelVersion, SigningKey, VersionComparison


class ModelStore:
    """The model store as the routes and the registry see it."""

    def __init__(self, repository: ModelRepository, known: Callable[[str], object]) -> None:
        """Wrap a repository.

        Args:
            repository: the store.
            known: raises ModelNotFound if there is no model of that name.
        """
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
        except modelstore.PublishError as error:
            raise StoreUnavailable(f"the model store cannot be written now: {error.reason}") from error
        except OSError as error:
            raise StoreUnavailable(f"the model's folder cannot be read now: {error.strerror}") from error


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
