"""What a manifest holds about how much each column matters to a model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from modelstore.records import Finite, Label, Record


class ColumnImportance(Record):
    """By how much a model is worse where the values of a column are shuffled among the rows.

    Attributes:
        mean: mean increase of the figure over the repeats; about 0 or below for a column that does not help.
        interval: 95 % interval of that mean.
    """

    mean: Finite
    interval: tuple[Finite, Finite]


class JointImportance(ColumnImportance):
    """The same of columns that say nearly the same, so that each alone may seem to matter little."""

    columns: Annotated[tuple[Label, ...], Field(min_length=2)]


class Importance(Record):
    """Permutation importance of each column of a model on test rows.

    Attributes:
        figure: what increases: the log loss in nats, or the RMSE in the unit of the target.
        rows: number of test rows.
        repeats: how often each column was shuffled.
        columns: importance by column, the most important first.
        together: columns whose correlation is beyond 0.9, shuffled together.
    """

    figure: Literal["log_loss", "rmse"]
    rows: Annotated[int, Field(ge=1)]
    repeats: Annotated[int, Field(ge=2)]
    columns: Annotated[dict[Label, ColumnImportance], Field(min_length=1)]
    together: tuple[JointImportance, ...] = ()
