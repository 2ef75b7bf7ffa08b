from __future__ import annotations

import io

import pytest
from rich.console import Console

from modelstore import EpochMetrics, JobResult, Notice, from_line
from training.cli.progress import Event, epoch_line, fold_bar, reporter


def epoch(number: int, epochs: int = 100, *, seconds: float = 0.0, accuracy: float | None = None) -> EpochMetrics:
    return EpochMetrics(
        epoch=number,
        epochs=epochs,
        train_loss=0.5,
        validation_loss=0.25,
        test_accuracy=accuracy,
        learning_rate=0.1,
        gradient_norm=1.0,
        elapsed_s=seconds,
        remaining_s=3.5,
    )


RESULT = JobResult(reason="succeeded", detail="iris version 1 is active", model="iris", version=1, activated=True)


def shown(*events: Event, terminal: bool = False, json_lines: bool = False) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200, color_system=None)
    with reporter(console, json_lines=json_lines) as view:
        for event in events:
            view.show(event)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def epochs_shown(*events: Event) -> list[int]:
    lines = [line for line in shown(*events).splitlines() if line.startswith("epoch")]
    return [int(line.split()[1].partition("/")[0]) for line in lines]


def test_a_line_says_epoch_losses_speed_seconds_and_time_left() -> None:
    line = epoch_line(epoch(7, seconds=1.25, accuracy=0.9).model_copy(update={"rows_per_s": 1234567.8}))

    expected = "epoch   7/100  train loss 0.5000  validation loss 0.2500  test accuracy 0.9000  1,234,568 rows/s  1.2 s"
    assert line == f"{expected}, 3.5 s left"


def test_a_fast_training_is_eleven_lines() -> None:
    assert epochs_shown(*(epoch(n) for n in range(1, 101))) == [1, *range(10, 101, 10)]


def test_a_slow_training_is_a_line_a_second() -> None:
    assert epochs_shown(*(epoch(n, seconds=0.5 * n) for n in range(1, 10))) == [1, 3, 5, 7, 9]


def test_an_epoch_with_a_test_accuracy_is_always_shown() -> None:
    assert epochs_shown(epoch(1), epoch(2), epoch(3, accuracy=0.5), epoch(4)) == [1, 3]


def test_an_epoch_with_a_test_error_of_a_regression_is_shown_with_it() -> None:
    measured = epoch(3).model_copy(update={"test_rmse": 54.25})

    assert epochs_shown(epoch(1), epoch(2), measured, epoch(4)) == [1, 3]
    assert "test RMSE 54.2500" in epoch_line(measured)


def test_the_last_epoch_of_an_early_stop_is_shown_before_the_result() -> None:
    lines = shown(epoch(1), epoch(2), epoch(3), RESULT).splitlines()

    assert [line[:12] for line in lines] == ["epoch   1/10", "epoch   3/10", "iris version"]


def test_a_warning_is_called_one() -> None:
    assert shown(Notice(level="warning", message="loss flat")) == "warning: loss flat\n"
    assert shown(Notice(message="[bold]not markup[/bold]")) == "[bold]not markup[/bold]\n"


def test_a_warning_of_a_cross_validation_stays_where_there_is_no_bar() -> None:
    console = Console(file=io.StringIO(), width=200)

    with fold_bar(console, 2) as bar:
        bar.show(Notice(message="fold 1 of 2: linear"))
        bar.show(Notice(level="warning", message="fold 1 of 2: knn is left out"))

    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().strip() == "warning: fold 1 of 2: knn is left out"


def test_json_lines_are_the_events_and_nothing_else() -> None:
    events: list[Event] = [Notice(message="begins"), epoch(1), epoch(2), RESULT]

    assert [from_line(line) for line in shown(*events, json_lines=True).splitlines()] == events


def test_a_terminal_sees_a_bar_that_reaches_the_end() -> None:
    text = shown(Notice(message="begins"), epoch(50), epoch(100), RESULT, terminal=True)

    assert "begins" in text
    assert "epoch 100/100  train loss 0.5000  validation loss 0.2500" in text
    assert "iris version 1 is active" in text


@pytest.mark.parametrize("terminal", [True, False])
def test_a_failure_begins_with_its_reason(*, terminal: bool) -> None:
    failure = JobResult(reason="diverged", detail="the loss is nan", model="iris")

    assert "diverged: the loss is nan" in shown(failure, terminal=terminal)
