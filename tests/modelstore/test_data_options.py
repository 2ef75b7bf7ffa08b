"""Options of a table: names are normalised, and a split has one column."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from modelstore import MISSING_VALUES, DataOptions, Split


def test_names_are_those_of_the_header_however_they_are_written() -> None:
    options = DataOptions.model_validate_json('{"types": {" zip ": "categorical"}, "split": {"time": "day "}}')

    assert options.types == {"zip": "categorical"}
    assert options.split == Split(time="day")


@pytest.mark.parametrize("split", [{}, {"time": "day", "group": "person"}])
def test_a_split_is_by_time_or_by_group(split: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exactly one of time and group"):
        Split(**split)


def test_missing_texts_are_the_usual_ones_unless_they_are_given() -> None:
    assert DataOptions().missing_texts == MISSING_VALUES
    assert DataOptions(missing_values=("-99", "")).missing_texts == ("-99", "")
    assert DataOptions(missing_values=("-99",)).missing_texts == ("", "-99")  # no category or class is an empty text
