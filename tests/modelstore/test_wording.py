"""What people are told of values that do not fit: in our words, whatever pydantic finds."""

from __future__ import annotations

import re
import typing
from typing import Annotated, Any, Literal

import pytest
from pydantic import AwareDatetime, BaseModel, Field, ValidationError
from pydantic_core import core_schema

from modelstore import wording

PYDANTICS = re.compile(r"should|extra inputs|field required|value error|valid |unable to|permitted", re.IGNORECASE)


class Sample(BaseModel, extra="forbid"):
    """One field of each kind."""

    whole: Annotated[int, Field(gt=0, le=9, strict=True)] = 1
    real: Annotated[float, Field(ge=0.5, lt=2, allow_inf_nan=False, strict=True)] = 1.0
    text: Annotated[str, Field(min_length=1, max_length=3)] = "a"
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")] = "a"
    other: Annotated[str, Field(pattern=r"^x$")] = "x"
    choice: Literal["rows", "columns"] = "rows"
    items: Annotated[tuple[int, ...], Field(min_length=1, max_length=2)] = (1,)
    flag: Annotated[bool, Field(strict=True)] = True
    when: AwareDatetime | None = None
    inner: dict[str, int] = {}


CASES = {
    "fraction": ("whole", "1.5", "must be a whole number, got one with a decimal point"),
    "text": ("whole", '"1"', "must be a whole number, got a string"),
    "truth": ("whole", "true", "must be a whole number, got a boolean"),
    "null": ("whole", "null", "must be a whole number, got null"),
    "too small": ("whole", "0", "must be more than 0, got 0 or less"),
    "too large": ("whole", "10", "must be at most 9, got more"),
    "an array": ("real", "[]", "must be a number, got an array"),
    "too small a float": ("real", "0.25", "must be at least 0.5, got less"),
    "too large a float": ("real", "2", "must be less than 2, got 2 or more"),
    "an infinity": ("real", "1e999", "must be a finite number, got NaN or an infinity"),
    "a number": ("text", "5", "must be a string, got a number"),
    "empty": ("text", '""', "must be a string of at least 1 character, got fewer"),
    "long": ("text", '"abcd"', "must be a string of at most 3 characters, got more"),
    "no name": (
        "name",
        '"No"',
        "must be 1 to 64 of a-z, 0-9, '_' and '-', starting with a letter or digit, got another string",
    ),
    "other form": ("other", '"y"', "must be a string of another form, got another string"),
    "no choice": ("choice", '"diagonal"', "must be 'rows' or 'columns', got another string"),
    "choice of another kind": ("choice", "1", "must be 'rows' or 'columns', got a number"),
    "no items": ("items", "[]", "must be an array of at least 1 item, got fewer"),
    "many items": ("items", "[1, 2, 3]", "must be an array of at most 2 items, got more"),
    "an object": ("items", "{}", "must be an array, got an object"),
    "no truth": ("flag", "1", "must be true or false, got a number"),
    "no time": ("when", '"x"', "must be a time with its zone, such as 2026-11-26T12:00:00Z, got other text"),
    "no zone": (
        "when",
        '"2026-11-26T12:00:00"',
        "must be a time with its zone, such as 2026-11-26T12:00:00Z, got one without",
    ),
    "no object": ("inner", "3", "must be an object, got a number"),
}


@pytest.mark.parametrize(("field", "value", "problem"), CASES.values(), ids=CASES.keys())
def test_what_was_expected_and_what_came_is_said(field: str, value: str, problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Sample.model_validate_json(f'{{"{field}": {value}}}')

    assert wording.describe_problem(caught.value.errors()[0]) == problem


def test_every_kind_of_error_has_words_of_ours() -> None:
    for kind in typing.get_args(core_schema.ErrorType):
        fault: dict[str, Any] = {"type": kind, "loc": ("x",), "msg": "Input should be another", "input": 1}
        assert not PYDANTICS.search(wording.describe_problem(fault) + wording.describe_expected(fault)), kind
        assert "{" not in wording.describe_problem(fault)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_eror", "on_error"),
        ("ON-ERROR", "on_error"),
        ("layuot", "layout"),
        ("secret", None),
        ("verbose", None),
        ("on_error<script>", None),
        ("on_error" + "r" * 99, None),
        ("", None),
        ("\u00f6n_error", None),
    ],
)
def test_a_name_is_taken_for_a_known_one_only_if_that_is_plain(name: str, meant: str | None) -> None:
    assert wording.closest_name(name, ("layout", "seed", "on_error")) == meant


def test_a_name_that_is_like_none_is_not_repeated() -> None:
    assert wording.describe_unknown("verbose", 2, ("layout", "seed"), "parameter") == (
        None,
        "parameter 2 is not known; known are layout, seed",
    )
    assert wording.describe_unknown("sead", 2, ("layout", "seed")) == ("sead", "is not known, perhaps seed is meant")
