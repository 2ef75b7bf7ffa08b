"""Errors of feedback."""

from __future__ import annotations

from app.errors import Conflict, TooLarge


class TooManyLabels(TooLarge):
    """The request has more labels than one request may have."""

    def __init__(self, most: int) -> None:
        super().__init__(f"more than {most} labels; send them in several requests, which may repeat each other")


class NotBetter(Conflict):
    """Labels do not show that the shadow is better than the active version."""

    def __init__(self, name: str, version: int, figures: str) -> None:
        super().__init__(
            f"labels do not show that {name} version {version} is better than the active version: {figures}; wait for "
            "more labels, or activate it regardless"
        )
