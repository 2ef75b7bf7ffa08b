"""What a member reports."""

from __future__ import annotations

import time

import pytest

from modelstore import EpochMetrics, Notice
from training.learners.auto.progress import MemberReport
from training.learners.protocol import Event


def test_epochs_become_notices_every_few_seconds_and_notices_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0.0, 0.5, 2.5, 3.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    told: list[Event] = []
    report = MemberReport(told.append, "auto: mlp, member 2 of 4")
    epochs = [
        EpochMetrics(epoch=n, epochs=9, train_loss=0.5, learning_rate=0.1, gradient_norm=1, elapsed_s=n, remaining_s=4)
        for n in (1, 2, 3)
    ]

    for event in (epochs[0], Notice(message="said"), epochs[1], epochs[2]):
        report(event)

    line = "auto: mlp, member 2 of 4: epoch 2/9, loss 0.5000, 4 s left"
    assert told == [Notice(message="said"), Notice(message=line)]
