"""Features are found among the named columns of a table."""

from __future__ import annotations

from app.inference.codecs.headers import name_problems, places_of
from tests.app.typed import NAMES, typed_schema


def test_places_are_in_feature_order_past_columns_that_are_ignored() -> None:
    names = ["id", *reversed(NAMES), "gone"]

    assert name_problems(names, typed_schema(), ignore_extra=False) == []
    assert places_of(names, typed_schema()) == [5, 4, 3, 2, 1]


def test_optional_names_may_be_absent_and_required_ones_not() -> None:
    names = [name for name in NAMES if name != "plan"]

    assert name_problems(names, typed_schema(optional=True), ignore_extra=False) == []
    assert places_of(names, typed_schema(optional=True)) == [0, None, 1, 2, 3]
    assert [problem.feature for problem in name_problems(names, typed_schema(), ignore_extra=False)] == ["plan"]


def test_misspelt_optional_name_is_unknown_and_not_missing() -> None:
    (problem,) = name_problems(["plam", *NAMES[2:], "age"], typed_schema(optional=True), ignore_extra=False)

    assert (problem.feature, "did you mean 'plan'?" in problem.problem) == ("plam", True)


def test_unprintable_and_long_names_are_shown_harmlessly() -> None:
    (problem,) = name_problems([*NAMES, "\ud800\n" + "x" * 100_000], typed_schema(), ignore_extra=False)

    assert problem.feature == "\ufffd\ufffd" + "x" * 78 + "\u2026"
