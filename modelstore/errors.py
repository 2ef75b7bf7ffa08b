"""Exceptions of the model store, with named fields and without status codes."""

from __future__ import annotations

from pathlib import Path


class StoreError(Exception):
    """Base class of all errors of the model store."""


class InvalidName(StoreError):
    """The name or version violates the naming rules of the store."""

    def __init__(self, kind: str, got: object, expected: str) -> None:
        super().__init__(f"{kind} must be {expected}, got {got!r:.80}")
        self.kind = kind
        self.got = got
        self.expected = expected


class UnknownModel(StoreError):
    """No version of this model has been published."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"no model {name!r}; the store has {', '.join(known) or 'no models yet'}")
        self.name = name
        self.known = known


class UnknownVersion(StoreError):
    """The model exists, but not this version of it."""

    def __init__(self, name: str, version: int, known: tuple[int, ...]) -> None:
        listed = ", ".join(map(str, known)) or "none"
        super().__init__(f"model {name!r} has no version {version}; published: {listed}")
        self.name = name
        self.version = version
        self.known = known


class BrokenVersion(StoreError):
    """The files of a version are missing, unreadable, or do not match its manifest.

    Attributes:
        reason: stable code for machines, such as `integrity_sha256` or `manifest_invalid`.
        detail: one sentence for people; holds no path.
    """

    def __init__(self, name: str, version: int, reason: str, detail: str) -> None:
        super().__init__(f"{name} version {version} is broken ({reason}): {detail}")
        self.name = name
        self.version = version
        self.reason = reason
        self.detail = detail


class PublishError(StoreError):
    """The store could not be written; it is unchanged.

    Attributes:
        errno: error number of the operating system, if there is one (ENOSPC, EROFS, ...).
    """

    def __init__(self, name: str, reason: str, root: Path, errno: int | None = None) -> None:
        super().__init__(f"cannot write model {name!r} in {root}: {reason}")
        self.name = name
        self.reason = reason
        self.errno = errno


class NotPermitted(StoreError):
    """The permit of the publishing job was revoked: the job was cancelled, timed out, or was abandoned."""

    def __init__(self, name: str, job: str) -> None:
        super().__init__(f"job {job} may not publish {name} any more: its permit was taken back")
        self.name = name
        self.job = job


class VersionInUse(StoreError):
    """The active version cannot be removed."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(f"{name} version {version} is the active one; activate another before removing it")
        self.name = name
        self.version = version


class NotShadow(StoreError):
    """The version is not the shadow of the active one."""

    def __init__(self, name: str, version: int, shadow: int | None) -> None:
        present = "there is none" if shadow is None else f"version {shadow} is"
        super().__init__(f"{name} version {version} is not the shadow of the active version; {present}")
        self.name = name
        self.version = version
        self.shadow = shadow


class NotComparable(StoreError):
    """The two versions have no test rows in common.

    Attributes:
        detail: one sentence for people.
    """

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"the versions of {name} cannot be compared row by row: {detail}")
        self.name = name
        self.detail = detail


class InvalidKey(StoreError):
    """The key file cannot be used; the message names the file, never its content."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"the signing key {path} is of no use: {problem}")
        self.path = path
        self.problem = problem
