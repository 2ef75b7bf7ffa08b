"""Evaluations: how a model did on one split, as figures that can be compared.

It must not know how they are computed.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from modelstore.features import Task
from modelstore.records import Count, Finite, Label, Ratio, Record

DECISIVE: dict[Task, str] = {"classification": "log_loss", "regression": "rmse"}
"""The metric by which the gate decides, of each task."""


class Metric(NamedTuple):
    """One figure of an evaluation, with its name for people and the direction in which it is better."""

    name: str
    value: float
    greater_is_better: bool = False

    @property
    def text(self) -> str:
        """Return the value for people."""
        return format_figure(self.value)

    def is_better(self, other: Metric, margin: float = 0.0) -> bool:
        """Return whether this value is better than the other one by more than the margin."""
        if self.greater_is_better:
            return self.value > other.value + margin
        return self.value < other.value - margin


def format_figure(value: float) -> str:
    """Return a figure with four decimals, or with four digits where these would say nothing."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.4g}"


def format_interval(interval: tuple[float, float] | None) -> str:
    """Return an interval as `0.9000 to 0.9500`, or nothing if there is none."""
    return " to ".join(map(format_figure, interval or ()))


class ClassReport(Record):
    """Precision, recall and F1 of one class on one split; support is its number of rows."""

    precision: Ratio
    recall: Ratio
    f1: Ratio
    support: Count


class Evaluation(Record):
    """How a classifier did on one split.

    Attributes:
        split: which rows: `train`, `validation` or `test`.
        macro_f1: mean F1 over the classes with rows or predictions.
        log_loss: mean negative log likelihood in nats.
        brier: mean squared distance of the probabilities from the one-hot truth, 0 to 2.
        calibration_error: root of the mean squared distance of accuracy and confidence over at most 15 bins of equally
            many rows, without its chance part; if there is no `calibration_band`, the expected calibration error over
            15 bins of equal width.
        confusion: (K, K) counts, true class by row, predicted class by column, in class order.
        per_class: a report for each class name.
        calibration_band: calibration errors of 95 % of perfectly calibrated models with these confidences and rows.
        roc_auc: area under the ROC curve, of the second of two classes, or the mean of each class against the rest.
        average_precision: mean of the precision at each recall, likewise.
        intervals: 95 % intervals of figures, by field: `accuracy`, `log_loss`, `brier`, `macro_f1`, `roc_auc`, and of
            two classes `average_precision`; absent where the rows do not tell.
    """

    split: Literal["train", "validation", "test"]
    rows: Annotated[int, Field(ge=1)]
    accuracy: Ratio
    macro_f1: Ratio
    log_loss: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    brier: Annotated[float, Field(ge=0, le=2)]
    calibration_error: Ratio
    confusion: tuple[tuple[Count, ...], ...]
    per_class: dict[Label, ClassReport]
    calibration_band: tuple[Ratio, Ratio] | None = None
    roc_auc: Ratio | None = None
    average_precision: Ratio | None = None
    intervals: dict[Label, tuple[Finite, Finite]] | None = None

    @property
    def figures(self) -> tuple[Metric, ...]:
        """Return all single figures, in the order in which a report shows them."""
        ranking = (("ROC AUC", self.roc_auc), ("average precision", self.average_precision))
        return (
            *self.headline,
            Metric("Brier", self.brier),
            Metric("calibration error", self.calibration_error),
            Metric("macro F1", self.macro_f1, greater_is_better=True),
            *(Metric(name, value, greater_is_better=True) for name, value in ranking if value is not None),
        )

    @property
    def headline(self) -> tuple[Metric, ...]:
        """Return the figures for which a table has room."""
        return Metric("accuracy", self.accuracy, greater_is_better=True), self.decisive

    @property
    def decisive(self) -> Metric:
        """Return the figure by which the gate decides."""
        return Metric("log loss", self.log_loss)


class RegressionEvaluation(Record):
    """How a regressor did on one split, in the unit of the target.

    Attributes:
        split: which rows: `train`, `validation` or `test`.
        rmse: root of the mean squared error.
        mae: mean absolute error.
        r2: coefficient of determination: 1 for perfect answers, 0 for the mean of these rows.
        median_absolute_error: half of the rows have a smaller absolute error.
    """

    split: Literal["train", "validation", "test"]
    rows: Annotated[int, Field(ge=1)]
    rmse: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    mae: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    r2: Annotated[float, Field(le=1, allow_inf_nan=False)]
    median_absolute_error: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @property
    def figures(self) -> tuple[Metric, ...]:
        """Return all single figures, in the order in which a report shows them."""
        return (*self.headline, Metric("MAE", self.mae), Metric("median absolute error", self.median_absolute_error))

    @property
    def headline(self) -> tuple[Metric, ...]:
        """Return the figures for which a table has room."""
        return Metric("R2", self.r2, greater_is_better=True), self.decisive

    @property
    def decisive(self) -> Metric:
        """Return the figure by which the gate decides."""
        return Metric("RMSE", self.rmse)


class RegressionBaseline(Record):
    """The headline figures of a simple regressor on the same split, for comparison."""

    rmse: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    r2: Annotated[float, Field(le=1, allow_inf_nan=False)]

    @property
    def headline(self) -> tuple[Metric, ...]:
        """Return the same figures as `RegressionEvaluation.headline`."""
        return Metric("R2", self.r2, greater_is_better=True), Metric("RMSE", self.rmse)


class Baseline(Record):
    """The headline figures of a simple classifier on the same split, for comparison."""

    accuracy: Ratio
    log_loss: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @property
    def headline(self) -> tuple[Metric, ...]:
        """Return the same figures as `Evaluation.headline`."""
        return Metric("accuracy", self.accuracy, greater_is_better=True), Metric("log loss", self.log_loss)


AnyEvaluation = Evaluation | RegressionEvaluation
AnyBaseline = Baseline | RegressionBaseline
