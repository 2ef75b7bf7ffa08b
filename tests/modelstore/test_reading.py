"""Names of columns, as every reader of tables takes them."""

from __future__ import annotations

import pytest

from modelstore.reading import column_name, find_repeated


@pytest.mark.parametrize(
    ("text", "name"),
    [("width", "width"), (" petal width\t", "petal width"), ("e\u0301tat", "\u00e9tat"), ("", "")],
    ids=["plain", "blanks around it", "accent on its own", "empty"],
)
def test_column_name_has_no_blanks_around_it_and_composed_accents(text: str, name: str) -> None:
    assert column_name(text) == name


def test_names_that_differ_are_not_repeated() -> None:
    assert find_repeated(("a", "A", "b")) == {}


def test_repeated_name_has_its_first_two_positions() -> None:
    assert find_repeated(("a", "b", "a", "b", "a")) == {"a": (1, 3), "b": (2, 4)}
