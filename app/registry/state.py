"""What is known about a model: which version is wanted, which serves, which were refused; it reads and does nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from app.errors import VersionRefused
from app.runtime.load import LoadedModel


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a version may not serve; forgotten when its files change.

    Attributes:
        reason: stable code, such as `integrity_sha256`.
        detail: one sentence for people.
    """

    reason: str
    detail: str
    fingerprint: tuple[int, ...]

    def error(self, name: str, version: int) -> VersionRefused:
        """Return what is raised for those who want this version all the same."""
        return VersionRefused(name, version, self.reason, self.detail)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What is known about one model; replaced as a whole when anything changes.

    Attributes:
        wanted: the version that the store calls active.
        loaded: the version that serves, if any can.
        refused: the versions that were tried and did not prove themselves.
    """

    name: str
    wanted: int | None = None
    loaded: LoadedModel | None = None
    refused: dict[int, Refusal] = field(default_factory=dict)

    @property
    def serving(self) -> int | None:
        """Return the number of the version that serves."""
        return self.loaded.contract.version if self.loaded else None

    @property
    def reason(self) -> str | None:
        """Return why the wanted version is not the one that serves, or None if all is well."""
        if self.wanted is None:
            return None if self.loaded else "no version was activated"
        if refusal := self.refused.get(self.wanted):
            return f"{refusal.reason}: {refusal.detail}"
        return None if self.serving == self.wanted else f"version {self.wanted} is not in the store"

    def with_version(self, loaded: LoadedModel) -> ServedModel:
        """Return the model served by this version."""
        refused = {v: refusal for v, refusal in self.refused.items() if v != loaded.contract.version}
        return replace(self, loaded=loaded, refused=refused)

    def beside(self, version: int, outcome: LoadedModel | Refusal) -> ServedModel:
        """Return the model after a version was tried that is not to serve it."""
        if isinstance(outcome, Refusal):
            return self.refusing(version, outcome)
        return replace(self.with_version(outcome), loaded=self.loaded)

    def refusing(self, version: int, refusal: Refusal) -> ServedModel:
        """Return the model after the store's files of a version were refused; what serves goes on."""
        return replace(self, refused={**self.refused, version: refusal})

    def without(self, version: int, refusal: Refusal) -> ServedModel:
        """Return the model not served by this version, for a reason."""
        return replace(self.refusing(version, refusal), loaded=None if version == self.serving else self.loaded)
