"""What a manifest holds for decisions, prediction sets, explanations and importance.

It must not know how these are computed or used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from modelstore.conformal import STEPS, score_at
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
        """Return why the policy does not fit a number of classes, as what was expected instead; None if it does.

        `classes` is 0 of a quantity, which no policy fits.
        """
        return _misfit(self.costs, self.threshold, classes) if classes else "none, as a regression has no classes"


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


class AbstainPolicy(Record):
    """When nothing is decided for a row; its label and probabilities, or its value, are answered all the same.

    Attributes:
        below: where the label has a smaller probability.
        confidence: where the prediction set of this level does not hold exactly one class; of a quantity, the level of
            the intervals that `wider` is for.
        wider: where the interval of a quantity is wider than this, in the unit of the target.
        out_of_range: whether where a value is unseen, outside the training range, or missing in a column that had no
            gaps in training, as in a warning.
    """

    below: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    confidence: Threshold | None = None
    wider: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    out_of_range: bool = False

    @model_validator(mode="after")
    def _any_reason(self) -> Self:
        if self.below is None and self.confidence is None and self.wider is None and not self.out_of_range:
            raise ValueError("at least one of below, confidence, wider and out_of_range")
        if self.wider is not None and self.confidence is None:
            raise ValueError("a confidence beside wider: the level of the intervals")
        return self

    def misfit(self, classes: int) -> str | None:
        """Return why the policy does not fit a number of classes, 0 of a quantity; see `DecisionPolicy.misfit`."""
        if classes and self.wider is not None:
            return "below, confidence or out_of_range, as wider is for a quantity and there are classes"
        if not classes and (self.below is not None or (self.confidence is not None and self.wider is None)):
            return "out_of_range, or wider with confidence, as below and sets are for classes and this is a quantity"
        return None


Scores = Annotated[tuple[Finite, ...], Field(min_length=1, max_length=512)]


class ClassScores(Record):
    """Ascending scores of the held-out rows of one class; see `Conformal`."""

    rows: Annotated[int, Field(ge=1)]
    scores: Scores

    @model_validator(mode="after")
    def _of_its_rows(self) -> Self:
        _require_scores(self.scores, self.rows)
        return self


class Spread(Record):
    """How far a model that answers a quantity usually is from the truth, by its answer.

    Attributes:
        values: ascending answers; between two of them, the spread is interpolated, beyond them it is constant.
        spreads: mean absolute error of answers near each value, or a power of it below 1.
    """

    values: Annotated[tuple[Finite, ...], Field(min_length=2)]
    spreads: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...]

    @model_validator(mode="after")
    def _one_spread_a_value(self) -> Self:
        if len(self.values) != len(self.spreads) or list(self.values) != sorted(set(self.values)):
            raise ValueError("a spread for each of ascending values")
        return self


class Conformal(Record):
    """Scores of held-out rows, from which a prediction set or interval of any level follows.

    Attributes:
        score: what a score is: `lac`, 1 less the probability of the true class; `absolute`, the distance of the answer
            from the true value; `scaled`, this distance divided by the spread.
        rows: number of rows that had scores.
        source: whose scores these are: `split`, rows of their own that had no other use; `out_of_fold`, training rows,
            each answered by a model that was fitted without it; `validation`, rows that chose when to stop.
        guarantee: `marginal`: sets hold the truth of a level's share of new rows like these at least, on average over
            calibration rows; `class`: of the rows of each class; `approximate`: about that share, which nothing proves.
        scores: ascending, all or as `modelstore.conformal.thin` keeps them; None if they are by class.
        per_class: scores of the rows of each class, by its name.
        spread: what scaled scores are divided by.
        test_coverage: level to how many of how many test rows have their truth in the set.
    """

    score: Literal["lac", "absolute", "scaled"]
    rows: Annotated[int, Field(ge=1)]
    source: Literal["split", "out_of_fold", "validation"]
    guarantee: Literal["marginal", "class", "approximate"]
    scores: Scores | None = None
    per_class: dict[Label, ClassScores] | None = None
    spread: Spread | None = None
    test_coverage: dict[str, tuple[Count, Count]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.scores is None) == (self.per_class is None) or (self.per_class is None) == (self.guarantee == "class"):
            raise ValueError("either scores, or per_class with the guarantee class")
        if (self.spread is None) == (self.score == "scaled"):
            raise ValueError("a spread with scaled scores, and only with them")
        if self.scores is not None:
            _require_scores(self.scores, self.rows)
        return self

    def misfit(self, classes: Sequence[str]) -> str | None:
        """Return what was expected instead, if the scores do not fit a model's classes; None if they do."""
        if (self.score == "lac") != bool(classes):
            return "scores lac for classes, and absolute or scaled for a quantity"
        if self.per_class is not None and set(self.per_class) != set(classes):
            return "scores for each class"
        return None

    def limits(self, classes: Sequence[str], level: float) -> list[float]:
        """Return the largest score with which each class is in the set of a level, K; infinity if rows are too few.

        A quantity has one limit, whatever name `classes` gives it.
        """
        if self.per_class is None:
            return [score_at(level, self.scores or (), self.rows)] * len(classes)
        own = [self.per_class[name] for name in classes]
        return [score_at(level, one.scores, one.rows) for one in own]


def _require_scores(scores: tuple[float, ...], rows: int) -> None:
    if list(scores) != sorted(scores) or len(scores) != min(rows, STEPS):
        raise ValueError(f"ascending scores, one for each row or {STEPS} of more")


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
