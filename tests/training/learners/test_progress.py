"""Progress of a training in epochs."""

from __future__ import annotations

import pytest

from modelstore import EpochMetrics, Notice
from training.learners.progress import EpochProgress


def test_the_time_left_is_that_of_the_epochs_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: now_s)
    progress = EpochProgress(10, 100, lambda event: None)

    progress.start(2)
    now_s = 5.0
    progress.stop()
    metrics = progress.metrics(train_loss=1.0, learning_rate=0.1, gradient_norm=0.0)

    assert (metrics.epoch, metrics.epochs, metrics.rows_per_s) == (2, 10, 20.0)
    assert (metrics.elapsed_s, metrics.remaining_s) == (5.0, 20.0)


def test_a_long_epoch_is_reported_on_the_way_but_not_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, events = 0.0, list[EpochMetrics | Notice]()
    monkeypatch.setattr("time.perf_counter", lambda: now_s)
    progress = EpochProgress(10, 100, events.append)

    progress.start(1)
    for now_s in (1.0, 3.0, 3.5, 10.0):  # noqa: B007, the clock reads it
        progress.advance(25)

    assert events == [Notice(message="epoch 1/10: 50 of 100 rows, 17 rows/s")]
