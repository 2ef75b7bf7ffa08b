"""The family tree in the docstring is the one of the classes."""

from __future__ import annotations

import re

import app.errors
from app.errors import BadRequest, Conflict, NotFound, Overloaded, Unavailable
from tests.app.problems import every_error

LINE = re.compile(r"^    (\d{3})  ((?:    )*)(\w+)(?:: .*| +(\w+))?$", re.MULTILINE)


def test_tree_in_the_docstring_is_that_of_the_classes() -> None:
    drawn, line = set(), [Exception.__name__]
    for status, indent, name, room in LINE.findall(app.errors.__doc__ or ""):
        depth = 1 + len(indent) // 4
        line[depth:] = [name]
        drawn.add((line[depth - 1], name, int(status), f"app.{room}.errors" if room else "app.errors"))

    classes = every_error()
    assert drawn == {(error.mro()[1].__name__, error.__name__, error.status, error.__module__) for error in classes}


def test_every_error_is_of_one_of_five_families() -> None:
    families = {BadRequest, NotFound, Conflict, Overloaded, Unavailable}

    outside = [error.__name__ for error in every_error() if not families & set(error.__mro__)]

    assert outside == ["ServingError", "InternalServerError"]


def test_kind_follows_the_class_name_and_may_be_stated() -> None:
    kinds = {error.__name__: error.kind for error in every_error()[1:]}

    assert kinds["TooManyBytesHeld"] == "too-many-bytes-held"
    assert kinds["RowQueueFull"] == "overloaded"
    assert kinds["RouteNotFound"] == "not-found"
