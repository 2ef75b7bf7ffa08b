"""What a manifest holds for decisions, calibration and explanations; each part is optional.

It must not know how these are computed or used.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from modelstore.datasets import MAX_CLASSES
from modelstore.records import Count, Finite, Label, Ratio, Record

Matrix = tuple[tuple[Finite, ...], ...]


def _square(costs: Matrix) -> Matrix:
    if not 2 <= len(costs) <= MAX_CLASSES or {len(row) for row in costs} != {len(costs)}:
        raise ValueError(f"a square matrix, a row and a column for each of 2 to {MAX_CLASSES} classes")
    return costs


Costs = Annotated[Matrix, AfterValidator(_square)]
Threshold = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Maximised = Literal["f1", "balanced_accuracy"]

Cells = tuple[Finite | None, ...]
"""One row as cells, length W; None for NaN."""


class DecisionPolicy(Record):
    """How a person wants a class to be chosen from probabilities, where it is not the most probable one.

    Attributes:
        costs: cost of answering column k where the truth is row j, (K, K), in class order; the class of the least
            expected cost is chosen.
        threshold: the second of two classes is chosen from this probability on.
        maximise: the figure that the choice makes largest on rows that the model has not seen: `f1` of the second of
            two classes, or the mean of more; `balanced_accuracy`, the mean recall.
    """

    costs: Costs | None = None
    threshold: Threshold | None = None
    maximise: Maximised | None = None

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if sum(value is not None for value in (self.costs, self.threshold, self.maximise)) != 1:
            raise ValueError("exactly one of costs, threshold and maximise")
        return self

    def misfit(self, classes: int) -> str | None:
        """Return why the policy does not fit a number of classes, as what was expected instead; None if it does."""
        return _misfit(self.costs, self.threshold, classes)


class Decision(Record):
    """How a version chooses a class: by a threshold or by costs, as in `DecisionPolicy`.

    Attributes:
        maximise: the figure for which threshold or costs were chosen, if they were not given.
        rows: number of rows on which they were chosen.
    """

    costs: Costs | None = None
    threshold: Threshold | None = None
    maximise: Maximised | None = None
    rows: Count | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.costs is None) == (self.threshold is None):
            raise ValueError("exactly one of costs and threshold")
        return self

    @property
    def policy(self) -> str:
        """Return the policy in a word or two, for answers."""
        return self.maximise or ("costs" if self.threshold is None else f"threshold {self.threshold:g}")

    def misfit(self, classes: int) -> str | None:
        """Return why the decision does not fit a number of classes; see `DecisionPolicy.misfit`."""
        return _misfit(self.costs, self.threshold, classes)


def _misfit(costs: Costs | None, threshold: float | None, classes: int) -> str | None:
    if threshold is not None and classes != 2:
        return f"costs or maximise, as a threshold is for two classes and there are {classes}"
    if costs is not None and len(costs) != classes:
        return f"costs of {classes} rows and columns, one a class, and not of {len(costs)}"
    return None


class Conformal(Record):
    """Nonconformity scores of held-out rows, ascending, and the method that computed them."""

    method: Label
    scores: Annotated[tuple[Finite, ...], Field(min_length=1)]


class Background(Record):
    """Typical rows, against which an explanation compares.

    Attributes:
        rows: (B, W) cells.
        weights: share of each row, (B,).
    """

    rows: Annotated[tuple[Cells, ...], Field(min_length=1)]
    weights: tuple[Ratio, ...]

    @model_validator(mode="after")
    def _one_weight_a_row(self) -> Self:
        if len(self.rows) != len(self.weights):
            raise ValueError("background needs one weight for each row")
        return self
