"""What a training process says while it works: one JSON line an event; it must not know who listens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from modelstore.manifest import Evaluation, GateReport, Record

Reason = Literal[
    "succeeded",
    "failed",
    "diverged",
    "bad_data",
    "disk_full",
    "out_of_memory",
    "timed_out",
    "cancelled",
    "interrupted",
]


class EpochMetrics(Record):
    """What one epoch gave: the printed line, the JSON line and the console's point.

    Every number that is sent is finite, for JSON has no other; a training that diverged ends with a `JobResult`.

    Attributes:
        epoch: 1 to `epochs`.
        train_loss: mean loss over the training rows during the epoch.
        validation_loss: mean loss over the validation rows after it; absent without a validation split.
        learning_rate: the rate that this epoch used.
        gradient_norm: Euclidean norm of the whole gradient at the epoch's last step.
        rows_per_s: training rows that the epoch took a second; 0 where it was not measured.
        elapsed_s: seconds since training started.
        remaining_s: estimated seconds until the last epoch, early stopping not foreseen.
    """

    event: Literal["epoch"] = "epoch"
    epoch: int
    epochs: int
    train_loss: float
    validation_loss: float | None = None
    test_accuracy: float | None = None
    learning_rate: float
    gradient_norm: float
    rows_per_s: float = 0.0
    elapsed_s: float
    remaining_s: float


class Notice(Record):
    """One sentence about something that a person should know: a finding, or a step that began."""

    event: Literal["notice"] = "notice"
    level: Literal["info", "warning"] = "info"
    message: str


MAX_WARNINGS = 20


def bounded(warnings: Iterable[str]) -> tuple[str, ...]:
    """Return the first twenty different warnings, and how many more there were: a column each may be thousands."""
    different = tuple(dict.fromkeys(warnings))
    more = len(different) - MAX_WARNINGS
    return different if more <= 0 else (*different[:MAX_WARNINGS], f"and {more} more, among the training's events")


class JobResult(Record):
    """How a training ended.

    Attributes:
        reason: machine-readable end, `succeeded` or why not.
        detail: one sentence for people.
        version: the version that was published, if any.
        activated: whether that version is now the active one.
        warnings: what a person should know of it; of very many the first.
    """

    event: Literal["result"] = "result"
    reason: Reason
    detail: str
    model: str
    version: int | None = None
    activated: bool = False
    gate: GateReport | None = None
    metrics: dict[str, Evaluation] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()


Event = Annotated[EpochMetrics | Notice | JobResult, Field(discriminator="event")]
_EVENT: TypeAdapter[EpochMetrics | Notice | JobResult] = TypeAdapter(Event)


def to_line(event: EpochMetrics | Notice | JobResult) -> str:
    """Return the event as one JSON line without its line feed."""
    return event.model_dump_json()


def from_line(line: str | bytes) -> EpochMetrics | Notice | JobResult:
    """Read one event back.

    Raises:
        pydantic.ValidationError: if the line is no event.
    """
    return _EVENT.validate_json(line)
