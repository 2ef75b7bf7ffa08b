"""Columns of a card: what the training rows have in a column of each type."""

from __future__ import annotations

from app.cards.columns import columns_of
from tests.app.cards.samples import FEATURES


def test_each_type_of_column_says_what_its_training_rows_have() -> None:
    assert columns_of(FEATURES) == [
        ("petal length", "numeric", "cm", "0.5 to 5.5, mean 3", "0"),
        ("soil", "categorical", "", "a (20), b (20), c (20), d (20), e (20), 2 more, other (3)", "2"),
        ("wild", "boolean", "", "yes (10), no (22)", "0"),
        ("found", "datetime", "", "2019-01-01 to 2020-12-31", "0"),
    ]
