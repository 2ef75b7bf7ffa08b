"""Progress records: one event, one JSON line, the same event again."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from modelstore import EpochMetrics, GateReport, JobResult, Notice, from_line, limit_warnings, to_line
from tests.modelstore.samples import EVALUATION

EPOCH = EpochMetrics(
    epoch=12,
    epochs=50,
    train_loss=0.25,
    validation_loss=0.5,
    test_accuracy=0.875,
    learning_rate=1e-3,
    gradient_norm=0.1,
    rows_per_s=3200.0,
    elapsed_s=1.5,
    remaining_s=4.75,
)
EVENTS = [
    EPOCH,
    EPOCH.model_copy(update={"validation_loss": None, "test_accuracy": None}),
    Notice(message="two lines\nand a \u2028 separator, ü"),
    Notice(level="warning", message="column 3 is constant"),
    JobResult(reason="diverged", detail="the loss became infinite in epoch 3", model="iris"),
    JobResult(
        reason="succeeded",
        detail="published version 7",
        model="iris",
        version=7,
        activated=True,
        gate=GateReport(policy="if_better", passed=True, reason="0.21 < 0.25", active_version=6),
        metrics={"test": EVALUATION},
    ),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event)
def test_event_survives_the_way_through_one_line(event: EpochMetrics | Notice | JobResult) -> None:
    line = to_line(event)
    assert len(line.split("\n")) == 1
    assert from_line(line) == event
    assert from_line(line.encode() + b"\n") == event


def test_epoch_line_is_pinned() -> None:
    assert to_line(EPOCH) == (
        '{"event":"epoch","epoch":12,"epochs":50,"train_loss":0.25,"validation_loss":0.5,"test_accuracy":0.875,'
        '"test_rmse":null,"learning_rate":0.001,"gradient_norm":0.1,"rows_per_s":3200.0,"elapsed_s":1.5,"remaining_s":4.75}'
    )


@pytest.mark.parametrize(
    "line",
    ["", "Epoch 3 of 50", "{}", '{"event":"other"}', '{"event":"notice"}', '{"event":"notice","message":"a","b":1}'],
    ids=["empty", "prose", "no event", "unknown event", "missing field", "unknown field"],
)
def test_line_that_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(ValidationError):
        from_line(line)


def test_warnings_are_counted_once_and_of_very_many_the_first_are_kept() -> None:
    """Ten thousand constant columns are as many warnings, and each job and manifest would hold them all."""
    many = [f"column {number} is constant" for number in range(30)]

    assert limit_warnings([*many[:3], many[0]]) == tuple(many[:3])
    assert limit_warnings(many) == (*many[:20], "and 10 more, among the training's events")
