"""How a data file is written, as a record."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from modelstore import Dialect, wording
from modelstore.dialect import USUAL


def test_everything_may_be_left_open() -> None:
    assert Dialect() == Dialect.model_validate_json("{}")


@pytest.mark.parametrize("written", ["tab", "\\t", "\t"])
def test_tab_may_be_written_as_a_word(written: str) -> None:
    assert Dialect.model_validate({"delimiter": written}).delimiter == "\t"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"delimiter": ":"}, "',', ';', '\\t' or '|'"),
        ({"encoding": "latin1"}, "'utf-8', 'utf-16' or 'cp1252'"),
        ({"skip_rows": -1}, "at least 0"),
        ({"skip_footer": 1001}, "at most 1000"),
        ({"comment": "##"}, "a string of at most 1 character"),
        ({"comment": "x"}, "a comment character that is no letter"),
        ({"comment": ";", "delimiter": ";"}, "a comment character that is no letter"),
        ({"header": False, "skip_below": 1}, "skip_below with a header only"),
    ],
    ids=lambda value: "" if isinstance(value, str) else ",".join(value),
)
def test_what_cannot_be_is_refused_in_words(fields: dict[str, object], expected: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Dialect.model_validate(fields)

    assert expected in wording.describe_expected(refused.value.errors()[0])


def test_what_is_left_open_is_taken_from_what_was_found() -> None:
    found = Dialect(delimiter=";", decimal=",", header=True)

    assert Dialect(decimal=".", header=False).or_else(found) == Dialect(delimiter=";", decimal=".", header=False)


def test_what_is_not_as_in_most_files_is_described_as_the_options_are_named() -> None:
    assert USUAL.describe() == Dialect().describe() == ""
    assert Dialect(delimiter="\t", header=False, skip_footer=2).describe() == (
        'delimiter="\\t", header=false, skip_footer=2'
    )
