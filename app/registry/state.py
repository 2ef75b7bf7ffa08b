"""State of a model: the active version, the serving version and the refused ones.

These are values only; this module does no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from app.runtime.errors import VersionRefused
from app.runtime.load import LoadedModel
from app.telemetry.model_metrics import ModelState, ServingVersion


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason why a version may not serve; discarded when its files change.

    Attributes:
        reason: stable code, such as `integrity_sha256`.
        detail: one sentence for people to read.
    """

    reason: str
    detail: str
    fingerprint: tuple[int, ...]

    def error(self, name: str, version: int) -> VersionRefused:
        """Return the exception for requests that name this version."""
        return VersionRefused(name, version, self.reason, self.detail)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """Immutable state of one model; replaced as a whole when anything changes.

    Attributes:
        active: the version that the store calls active.
        loaded: the version that serves, if any can.
        shadow: the version whose answers are only compared with those of the active one, if it has one and serves.
        refused: the versions that failed verification.
    """

    name: str
    active: int | None = None
    loaded: LoadedModel | None = None
    shadow: LoadedModel | None = None
    refused: dict[int, Refusal] = field(default_factory=dict)

    @property
    def serving(self) -> int | None:
        """Return the number of the version that serves."""
        return self.loaded.schema.version if self.loaded else None

    @property
    def shadow_version(self) -> int | None:
        """Return the number of the shadow."""
        return self.shadow.schema.version if self.shadow else None

    @property
    def reason(self) -> str | None:
        """Return why the active version does not serve, or None if it does."""
        if self.active is None:
            return None if self.loaded else "no version was activated"
        if refusal := self.refused.get(self.active):
            return f"{refusal.reason}: {refusal.detail}"
        return None if self.serving == self.active else f"version {self.active} is not in the store"

    def describe(self) -> ModelState:
        """Return the state as metrics and the audit trail show it."""
        serving = None
        if loaded := self.loaded:
            engines = tuple((choice.rows, choice.engine.name) for choice in loaded.engine.choices)
            unused = (loaded.unused.file, loaded.unused.reason) if loaded.unused else None
            version = loaded.schema.version
            serving = ServingVersion(loaded.manifest, version, loaded.device, loaded.load_s, engines, unused)
        refused = {version: refusal.reason for version, refusal in self.refused.items()}
        return ModelState(self.name, self.active, serving, refused, self.shadow_version)

    def with_version(self, loaded: LoadedModel) -> ServedModel:
        """Return the state with this version serving."""
        refused = {v: refusal for v, refusal in self.refused.items() if v != loaded.schema.version}
        return replace(self, loaded=loaded, refused=refused)

    def with_trial_result(self, version: int, outcome: LoadedModel | Refusal) -> ServedModel:
        """Return the state after another version was tried; the serving version does not change."""
        if isinstance(outcome, Refusal):
            return self.with_refusal(version, outcome)
        return replace(self.with_version(outcome), loaded=self.loaded)

    def with_refusal(self, version: int, refusal: Refusal) -> ServedModel:
        """Return the state with a version's files refused; the serving version does not change."""
        return replace(self, refused={**self.refused, version: refusal})

    def with_withdrawal(self, version: int, refusal: Refusal) -> ServedModel:
        """Return the state with a version refused, no longer serving, and no shadow."""
        loaded = None if version == self.serving else self.loaded
        shadow = None if version == self.shadow_version else self.shadow
        return replace(self.with_refusal(version, refusal), loaded=loaded, shadow=shadow)
