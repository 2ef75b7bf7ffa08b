"""Where errors are defined, and what they have from their families."""

from __future__ import annotations

import re
from collections import defaultdict

import app.errors
from app.errors import BadRequest, Conflict, NotFound, Overloaded, Unavailable
from tests.app.problems import every_error

FAMILIES = (BadRequest, NotFound, Conflict, Overloaded, Unavailable)


def test_docstring_lists_the_statuses_of_each_family() -> None:
    lines = re.findall(r"^        (\w+) +([\d, ]+): ", app.errors.__doc__ or "", re.MULTILINE)

    statuses: dict[str, set[int]] = defaultdict(set)
    for error in every_error():
        for family in FAMILIES:
            if issubclass(error, family):
                statuses[family.__name__].add(error.status)
    assert {name: {*map(int, listed.split(", "))} for name, listed in lines} == statuses


def test_every_error_is_in_the_errors_module_of_its_room() -> None:
    assert [error for error in every_error() if not re.fullmatch(r"app\.(\w+\.)?errors", error.__module__)] == []


def test_every_error_is_of_one_of_five_families() -> None:
    outside = [error.__name__ for error in every_error() if not issubclass(error, FAMILIES)]

    assert outside == ["ServingError", "InternalServerError"]


def test_kind_follows_the_class_name_and_may_be_stated() -> None:
    kinds = {error.__name__: error.kind for error in every_error()[1:]}

    assert kinds["TooManyBytesHeld"] == "too-many-bytes-held"
    assert kinds["RowQueueFull"] == "overloaded"
    assert kinds["RouteNotFound"] == "not-found"
