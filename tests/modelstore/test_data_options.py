"""Options of a table: names are normalised, and a split has one column."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from modelstore import DataOptions, Split


def test_names_are_those_of_the_header_however_they_are_written() -> None:
    options = DataOptions.model_validate_json('{"types": {" zip ": "categorical"}, "split": {"time": "day "}}')

    assert options.types == {"zip": "categorical"}
    assert options.split == Split(time="day")


@pytest.mark.parametrize("split", [{}, {"time": "day", "group": "person"}])
def test_a_split_is_by_time_or_by_group(split: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exactly one of time and group"):
        Split(**split)
