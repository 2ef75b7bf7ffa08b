"""Errors of models and versions."""

from __future__ import annotations

from app.errors import Conflict, NotFound, Overloaded, Unavailable


class ModelNotFound(NotFound):
    """There is no model of that name."""

    meaning = "No such model or version"

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__(f"no such model; known models: {', '.join(known) or 'none yet'}; see GET /models")
        self.known = known


class VersionNotFound(NotFound):
    """The model exists, but not this version of it."""

    def __init__(self, name: str, known: tuple[int, ...]) -> None:
        listed = ", ".join(map(str, known)) or "none"
        super().__init__(f"model {name} has no such version; published: {listed}; see GET /models/{name}")
        self.name = name
        self.known = known


class ModelNotReady(Unavailable):
    """The model exists, but none of its versions can serve now."""

    meaning = "The model or version cannot answer now"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"model {name} cannot serve now: {reason}; see GET /models/{name}")
        self.name = name
        self.reason = reason


class VersionInUse(Conflict):
    """An active or serving version cannot be removed."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(f"{name} version {version} is active or serves; activate another before deleting it")
        self.name = name
        self.version = version


class NotComparable(Conflict):
    """The two versions have no test rows in common, or one was published without its test predictions."""


class TooManyLoads(Overloaded):
    """Too many requests by number wait for versions to be loaded, which happens one at a time."""

    def __init__(self) -> None:
        super().__init__("too many requests by number wait for versions to be loaded; try again in a moment")
