"""Typed columns of a manifest: how many cells they have, and what they refuse."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from modelstore import BooleanFeature, CategoricalFeature, DatetimeFeature, NumericFeature
from modelstore.features import width_of

DECILES = (0.0,) * 9


def found(low: str = "2019-01-01", high: str = "2020-01-01", quantiles: tuple[float, ...] = DECILES) -> DatetimeFeature:
    return DatetimeFeature(name="found", min=low, max=high, quantiles=quantiles)


def test_a_date_has_two_cells_and_every_other_column_one() -> None:
    columns = (
        NumericFeature(name="length", mean=0, std=0, min=0, max=0, quantiles=DECILES),
        CategoricalFeature(name="soil", categories={"clay": 5}),
        BooleanFeature(name="wild", true_values=("yes",), false_values=("no",), true=1, false=1),
        found(),
    )

    assert [column.width for column in columns] == [1, 1, 1, 2]
    assert width_of(columns) == 5


def test_a_date_refuses_a_range_and_deciles_that_fall() -> None:
    with pytest.raises(ValidationError, match="'found': min must not be after max"):
        found(low="2021-01-01")
    with pytest.raises(ValidationError, match="'found': min and max must both have a zone, or neither"):
        found(low="1999-01-01T00:00:00Z")
    with pytest.raises(ValidationError, match="'found': quantiles must ascend"):
        found(quantiles=(1.0, *(0.0,) * 8))


def test_a_categorical_column_needs_a_category() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        CategoricalFeature(name="soil", categories={})
