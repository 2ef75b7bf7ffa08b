"""Slices: how a model did on the test rows that have some values of a column.

It must not know how they are computed.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from modelstore.records import Finite, Label, Record

MAX_COLUMNS = 21  # the target and twenty features
MAX_SLICES = 101  # of a column: of the target, one for each class; of more, the others share the last


class Slice(Record):
    """The rows with some values of a column.

    Attributes:
        values: which ones, for people: `4.3 to 5.4`, a category, `other values` or `missing`.
        rows: number of these rows.
        figure: the figure of `Slices` on them.
        interval: its 95 % interval; absent for a single row of a regression.
    """

    values: Annotated[str, Field(min_length=1, max_length=500)]
    rows: Annotated[int, Field(ge=1)]
    figure: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    interval: tuple[Finite, Finite] | None = None


class Slices(Record):
    """The slices of a version's test rows.

    Attributes:
        figure: `accuracy`, the share of rows whose label is right as the version chooses it; or `rmse` in the unit of
            the target.
        rows: number of test rows; of very many, an evenly spread part.
        columns: slices by column. The first is the target: its classes, so that the figure is their recall, or terciles
            of its values. Of a feature they are terciles of numbers and dates, or the most frequent values.
        left_out: number of further features, the less important ones, that have no slices.
    """

    figure: Literal["accuracy", "rmse"]
    rows: Annotated[int, Field(ge=1)]
    columns: Annotated[
        dict[Label, Annotated[tuple[Slice, ...], Field(min_length=1, max_length=MAX_SLICES)]],
        Field(min_length=1, max_length=MAX_COLUMNS),
    ]
    left_out: Annotated[int, Field(ge=0)] = 0
