"""One published version, found in a folder and made ready to answer without a service.

This module must not know HTTP or files of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.inference.additions.choice import Shared
from app.inference.additions.explanation import Explainer
from app.inference.additions.keeping import KeepsNothing
from app.inference.dataplane import DataPlane
from app.inference.offload import OffloadThread
from app.inference.pipeline import Pipeline
from app.registry.errors import ModelNotReady
from app.registry.loader import Loader
from app.registry.registry import ModelRegistry
from app.runtime import devices
from app.runtime import load as runtime
from app.settings import Settings
from app.telemetry.metrics import ServingMetrics
from modelstore import ModelRepository, ModelVersion, SigningKey, UnknownVersion
from modelstore.names import MANIFEST_FILE, VERSION


class OneVersion(ModelRepository):
    """A repository of one version, wherever its folder is."""

    def __init__(self, found: ModelVersion) -> None:
        super().__init__(found.path.parent, found.key)
        self.found = found

    def names(self) -> tuple[str, ...]:
        """Return the name of its model."""
        return (self.found.name,)

    def versions(self, name: str) -> tuple[int, ...]:
        """Return its number."""
        return (self.found.version,) if name == self.found.name else ()

    def find(self, name: str, version: int) -> ModelVersion:
        """Return it.

        Raises:
            UnknownVersion.
        """
        if (name, version) != (self.found.name, self.found.version):
            raise UnknownVersion(name, version, (self.found.version,))
        return self.found

    def active(self, name: str) -> int | None:
        """Return its number."""
        return self.found.version

    def shadow(self, name: str) -> int | None:
        """Return None: it answers alone."""
        return None


@dataclass(frozen=True, slots=True)
class OpenedVersion:
    """A version that answers; its registry must be closed."""

    registry: ModelRegistry
    pipeline: Pipeline


async def open_version(
    found: ModelVersion, load: Callable[[ModelVersion], runtime.LoadedModel], settings: Settings, explainer: Explainer
) -> OpenedVersion:
    """Load and verify a version, in the event loop that will ask it.

    Raises:
        ModelNotReady: with the reason, if it fails its checks.
    """
    registry = ModelRegistry(OneVersion(found), Loader(load, max_versions=1), runtime.prove_again)
    with devices.one_thread():
        await registry.refresh()
    refused = registry.get(found.name).refused.get(found.version)
    if refused is not None:
        registry.close()
        raise ModelNotReady(found.name, f"version {found.version} was refused ({refused.reason}): {refused.detail}")
    plane = DataPlane(registry, ServingMetrics(), max_queue_rows=settings.max_queue_rows, max_wait_s=0)
    shared = Shared(explainer, None, KeepsNothing())  # only a service can check receipts
    return OpenedVersion(registry, Pipeline(plane, OffloadThread(), shared, settings.max_rows))


def find_version(folder: Path, key_file: Path | None) -> ModelVersion:
    """Return the version in a folder, or the active or newest one of a model's folder.

    Raises:
        FileNotFoundError: if there is none.
        InvalidKey: if the file of the signing keys cannot be used.
    """
    key = SigningKey.read(key_file) if key_file else None
    if not (folder / MANIFEST_FILE).exists() and folder.is_dir():
        store = ModelRepository(folder.parent, key)
        versions = store.versions(folder.name)
        if versions:
            return store.find(folder.name, store.active(folder.name) or versions[-1])
    if not (folder / MANIFEST_FILE).exists():
        raise FileNotFoundError(
            f"{folder} is no published version: it has no {MANIFEST_FILE}; expected models/NAME/VERSION"
        )
    folder = folder.resolve()
    number = int(folder.name) if VERSION.fullmatch(folder.name) else 1
    return ModelVersion(folder.parent.name, number, folder, key)
