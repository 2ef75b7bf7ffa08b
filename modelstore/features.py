"""The typed columns of a table, as a manifest describes them.

A model sees a row as float32 cells: one cell a column, two for a date. It must not know files, requests or torch.
"""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from modelstore.records import Count, Finite, Label, Record

ColumnType = Literal["numeric", "categorical", "boolean", "datetime"]
Task = Literal["classification", "regression"]

MAX_CATEGORIES = 255  # of a column; all other values share the code after the last
MIN_CATEGORY_ROWS = 5  # training rows of a category; values with fewer share the code after the last
MISSING_VALUES = ("", "NA", "N/A", "null", "NULL", "NaN", "nan", "?", "-", "None")
"""Texts that stand for a missing value unless a table says otherwise."""


class Distribution(Record):
    """Distribution of the present values of a column in the training split.

    Attributes:
        std: standard deviation with ddof = 0.
        min: smallest value; with `max` it is the training range.
        quantiles: the nine inner deciles, ascending.
    """

    mean: Finite
    std: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    min: Finite
    max: Finite
    quantiles: Annotated[tuple[Finite, ...], Field(min_length=9, max_length=9)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        steps = (self.min, *self.quantiles, self.max)
        if any(low > high for low, high in itertools.pairwise(steps)):
            raise ValueError(f"{getattr(self, 'name', 'values')!r}: min, quantiles and max must ascend")
        return self


class _Column(Record):
    """What every type of column has.

    Attributes:
        unit: unit of the raw value; empty for a pure number.
        required: whether a request must name the column.
        missing: training rows without a value; if 0, a missing value in a request gets a warning.
    """

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    width: ClassVar[int] = 1

    name: Label
    unit: str = ""
    required: bool = True
    missing: Count = 0


class NumericFeature(Distribution, _Column):
    """A column of numbers; its cell is the number, NaN if missing.

    Attributes:
        reading: how numbers are written in the training file, one of `modelstore.numbers.READINGS`.
    """

    type: Literal["numeric"] = "numeric"
    reading: str = "plain"


class CategoricalFeature(_Column):
    """A column of texts; its cell is the position in `categories`, their number for any other text, NaN if missing.

    Attributes:
        categories: number of training rows of each category, most frequent first.
        ordered: whether the order of the categories means something.
        other: training rows with a value that is no category.
    """

    type: Literal["categorical"] = "categorical"
    categories: Annotated[dict[Label, Count], Field(min_length=1, max_length=10_000)]
    ordered: bool = False
    other: Count = 0


class BooleanFeature(_Column):
    """A column of two values; its cell is 1 for a true one, 0 for a false one, NaN if missing.

    Attributes:
        true_values: texts that stand for 1, as `trueValues`; the first is the one in the training file.
        false_values: texts that stand for 0, as `falseValues`; likewise.
        true: training rows with a true value; `false` the others.
    """

    type: Literal["boolean"] = "boolean"
    true_values: Annotated[tuple[str, ...], Field(alias="trueValues", min_length=1)]
    false_values: Annotated[tuple[str, ...], Field(alias="falseValues", min_length=1)]
    true: Count
    false: Count


class DatetimeFeature(_Column):
    """A column of dates or times; its two cells are whole days since 1970-01-01 and seconds of that day.

    Attributes:
        format: `default` for ISO 8601, else a pattern of `modelstore.dates.FORMATS`, as in Frictionless Table Schema.
        min: earliest time of the training split in ISO 8601; `max` is the latest.
        quantiles: the nine inner deciles of the days, ascending.
    """

    width: ClassVar[int] = 2

    type: Literal["datetime"] = "datetime"
    format: str = "default"
    min: str
    max: str
    quantiles: Annotated[tuple[Finite, ...], Field(min_length=9, max_length=9)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        first, last = datetime.fromisoformat(self.min), datetime.fromisoformat(self.max)
        if (first.tzinfo is None) != (last.tzinfo is None):  # which cannot be compared
            raise ValueError(f"feature {self.name!r}: min and max must both have a zone, or neither")
        if first > last:
            raise ValueError(f"feature {self.name!r}: min must not be after max")
        if any(low > high for low, high in itertools.pairwise(self.quantiles)):
            raise ValueError(f"feature {self.name!r}: quantiles must ascend")
        return self


Feature = Annotated[NumericFeature | CategoricalFeature | BooleanFeature | DatetimeFeature, Field(discriminator="type")]

LeftOutReason = Literal[
    "row_number",
    "id",
    "constant",
    "empty",
    "free_text",
    "too_many_values",
    "no_name",
    "ambiguous_date",
    "not_chosen",
    "target_copy",
]


class LeftOut(Record):
    """A column of the table that the model does not use; a request may carry it, and it is ignored.

    Attributes:
        detail: one sentence for people, with figures, and what to do to use the column nonetheless.
    """

    name: str
    reason: LeftOutReason
    detail: str


class Target(Record):
    """The column that the model predicts.

    Attributes:
        missing: rows without a target, which were left out.
        distribution: of the values in the training split, if they are quantities.
    """

    name: Label
    type: ColumnType = "categorical"
    unit: str = ""
    missing: Count = 0
    distribution: Distribution | None = None


def width_of(features: tuple[Feature, ...]) -> int:
    """Return the number of cells of a row, W."""
    return sum(feature.width for feature in features)
