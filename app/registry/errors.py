"""Errors of models and versions."""

from __future__ import annotations

from app.errors import Conflict, NotFound, Overloaded, Unavailable


class ModelNotFound(NotFound):
    """There is no model of that name."""

    meaning = "No such model or version"

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__(f"no such model; known models: {', '.join(known) or 'none yet'}; see GET /models")


class VersionNotFound(NotFound):
    """The model exists, but not this version of it."""

    def __init__(self, name: str, known: tuple[int, ...]) -> None:
        listed = ", ".join(map(str, known)) or "none"
        super().__init__(f"model {name} has no such version; published: {listed}; see GET /models/{name}")


class PictureNotFound(NotFound):
    """The version exists, but has no picture, or data of a plot, of that name."""

    meaning = "No such model, version or plot"

    def __init__(self, name: str, version: int, known: tuple[str, ...]) -> None:
        listed = ", ".join(known) or "none"
        super().__init__(
            f"{name} version {version} has no such plot; there are: {listed}; "
            f"see GET /models/{name}/versions/{version}/plots"
        )


class ModelNotReady(Unavailable):
    """The model exists, but none of its versions can serve now."""

    meaning = "The model or version cannot answer now"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"model {name} cannot serve now: {reason}; see GET /models/{name}")


class VersionInUse(Conflict):
    """An active or serving version cannot be removed."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(f"{name} version {version} is active or serves; activate another before deleting it")


class UnfitShadow(Conflict):
    """The version cannot be the shadow of the active one."""

    def __init__(self, name: str, version: int, reason: str) -> None:
        super().__init__(f"{name} version {version} cannot be a shadow: {reason}")


class NotShadow(Conflict):
    """The version is not the shadow of the active one."""

    def __init__(self, name: str, version: int, shadow: int | None) -> None:
        present = "there is none" if shadow is None else f"version {shadow} is"
        super().__init__(f"{name} version {version} is not the shadow of the active version; {present}")


class NotComparable(Conflict):
    """The two versions have no test rows in common, or one was published without its test predictions."""


class TooManyLoads(Overloaded):
    """Too many requests by number wait for versions to be loaded, which happens one at a time."""

    def __init__(self) -> None:
        super().__init__("too many requests by number wait for versions to be loaded; try again in a moment")
