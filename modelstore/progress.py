"""Events of a training process, written as JSON lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from modelstore.evaluation import AnyEvaluation
from modelstore.gate import GateReport
from modelstore.leaders import LeaderBoard
from modelstore.records import Record

Reason = Literal[
    "succeeded", "failed", "diverged", "bad_data", "disk_full", "out_of_memory", "timed_out", "cancelled", "interrupted"
]


class EpochMetrics(Record):
    """Metrics of one epoch: the source of the printed line, the JSON line and the plotted point.

    All numbers in a sent event are finite, because JSON has no others; a diverged training ends with a `JobResult`.

    Attributes:
        epoch: 1 to `epochs`.
        train_loss: mean loss over the training rows during the epoch: nats, or of a regression the squared error in
            variances of the target, so 1 is guessing the mean.
        validation_loss: mean loss over the validation rows after the epoch; absent without a validation split.
        test_accuracy: share of test rows classified rightly, in the epochs that measure it.
        test_rmse: likewise of a regression, in the unit of the target.
        learning_rate: the rate used in this epoch.
        gradient_norm: Euclidean norm of the whole gradient at the epoch's last step.
        rows_per_s: training rows processed per second; 0 if it was not measured.
        elapsed_s: seconds since training started.
        remaining_s: estimated seconds until the last epoch, without regard to early stopping.
    """

    event: Literal["epoch"] = "epoch"
    epoch: int
    epochs: int
    train_loss: float
    validation_loss: float | None = None
    test_accuracy: float | None = None
    test_rmse: float | None = None
    learning_rate: float
    gradient_norm: float
    rows_per_s: float = 0.0
    elapsed_s: float
    remaining_s: float


class Notice(Record):
    """A message for people, one sentence: a finding, or the start of a step."""

    event: Literal["notice"] = "notice"
    level: Literal["info", "warning"] = "info"
    message: str


SEARCH_ENDED = "search: ended early, as asked; the best settings so far are trained in full"
"""Notice after which a training may be asked once more to end early."""

MAX_WARNINGS = 20


def limit_warnings(warnings: Iterable[str]) -> tuple[str, ...]:
    """Return the first twenty distinct warnings, and one that counts the rest.

    A warning for each column could be thousands.
    """
    different = tuple(dict.fromkeys(warnings))
    more = len(different) - MAX_WARNINGS
    return different if more <= 0 else (*different[:MAX_WARNINGS], f"and {more} more, among the training's events")


class JobResult(Record):
    """The end of a training.

    Attributes:
        reason: machine-readable outcome: `succeeded`, or the reason of the failure.
        detail: one sentence for people.
        version: the published version, if any.
        activated: whether that version is now the active one.
        leaders: the model beside its members and baselines.
        warnings: findings that people should know; at most the first ones, see `limit_warnings`.
    """

    event: Literal["result"] = "result"
    reason: Reason
    detail: str
    model: str
    version: int | None = None
    activated: bool = False
    gate: GateReport | None = None
    metrics: dict[str, AnyEvaluation] = Field(default_factory=dict)
    leaders: LeaderBoard | None = None
    warnings: tuple[str, ...] = ()


Event = Annotated[EpochMetrics | Notice | JobResult, Field(discriminator="event")]
_EVENT: TypeAdapter[EpochMetrics | Notice | JobResult] = TypeAdapter(Event)


def to_line(event: EpochMetrics | Notice | JobResult) -> str:
    """Return the event as one JSON line without its line feed."""
    return event.model_dump_json()


def from_line(line: str | bytes) -> EpochMetrics | Notice | JobResult:
    """Read one event back.

    Raises:
        pydantic.ValidationError: if the line is not an event.
    """
    return _EVENT.validate_json(line)
