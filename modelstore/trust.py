"""What a manifest holds for decisions, calibration and explanations; each part is optional.

It must not know how these are computed or used.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from modelstore.records import Finite, Label, Ratio, Record

Cells = tuple[Finite | None, ...]
"""One row as cells, length W; None for NaN."""


class Decision(Record):
    """How a class is chosen from probabilities, where it is not the most probable one.

    Attributes:
        thresholds: least probability of a class to be chosen, by class.
        costs: cost of answering column k where the truth is row j, (K, K).
    """

    thresholds: dict[Label, Ratio] = Field(default_factory=dict)
    costs: tuple[tuple[Finite, ...], ...] = ()


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
