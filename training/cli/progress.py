"""Three views of a training's events: progress bar, plain lines, JSON lines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from modelstore import EpochMetrics, JobResult, Notice, to_line
from modelstore.evaluation import format_figure
from training.evaluation.scores import FoldScore

Event = EpochMetrics | Notice | JobResult


class Reporter(Protocol):
    """Shows events as they come."""

    def show(self, event: Event) -> None:
        """Show one event."""


class JsonLines:
    """Writes one JSON document per line, flushed, for programs."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def show(self, event: Event) -> None:
        """Write one line."""
        self._stream.write(f"{to_line(event)}\n")
        self._stream.flush()


class PlainLines:
    """Prints log lines: the first and the last epoch, every tenth of the training, else at most one per second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown_at_s = 0.0
        self._unshown: EpochMetrics | None = None

    def show(self, event: Event) -> None:
        """Print the event if it is due; print the last withheld epoch before any other event."""
        if isinstance(event, EpochMetrics):
            self._unshown = event
            if not self._due(event):
                return
        if self._unshown:
            self._shown_at_s = self._unshown.elapsed_s
            self._line(epoch_line(self._unshown))
            self._unshown = None
        if not isinstance(event, EpochMetrics):
            self._line(sentence(event))

    def _due(self, event: EpochMetrics) -> bool:
        tenth = math.ceil(event.epochs / 10)
        milestone = event.epoch == 1 or event.epoch % tenth == 0 or was_probed(event)
        return milestone or event.elapsed_s - self._shown_at_s >= 1

    def _line(self, text: str) -> None:
        # written directly: `rich.print` takes as long as ten epochs of a small network
        self._console.file.write(f"{text}\n")
        self._console.file.flush()


class ProgressBar:
    """Shows a progress bar on a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def show(self, event: Event) -> None:
        """Advance the bar, or print a sentence above it."""
        if not isinstance(event, EpochMetrics):
            self._progress.console.print(sentence(event), markup=False, highlight=False)
            return
        if was_probed(event):
            self._progress.console.print(epoch_line(event), markup=False, highlight=False)
        if self._task is None:
            self._task = self._progress.add_task("", total=event.epochs)
        self._progress.update(self._task, completed=event.epoch, description=losses(event))


@contextmanager
def reporter(console: Console, *, json_lines: bool) -> Iterator[Reporter]:
    """Yield the right view: JSON lines if requested, a bar on a terminal, else plain lines."""
    if json_lines:
        yield JsonLines(console.file)
    elif console.is_terminal:
        columns = (BarColumn(), TextColumn("epoch {task.completed:.0f}/{task.total:.0f}  {task.description}"))
        with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
            yield ProgressBar(progress)
    else:
        yield PlainLines(console)


class FoldBar:
    """Shows how far a cross-validation is: a line for each fold, and on a terminal a bar with the latest notice."""

    def __init__(self, progress: Progress, folds: int) -> None:
        self._progress, self._task = progress, progress.add_task("", total=folds)

    def show(self, event: Event) -> None:
        """Show a notice beside the bar, and keep a warning above it."""
        if isinstance(event, Notice) and event.level == "warning":
            self._progress.console.print(sentence(event), markup=False, highlight=False, soft_wrap=True)
        elif isinstance(event, Notice):
            self._progress.update(self._task, description=event.message)

    def advance(self, score: FoldScore) -> None:
        """Advance the bar by a fold, and print the figures of its model."""
        figures = ", ".join(f"{name} {format_figure(value)}" for name, value in score.figures.items())
        self._progress.console.print(f"fold {score.fold}: {score.method}, {figures}", markup=False, highlight=False)
        self._progress.advance(self._task)


@contextmanager
def fold_bar(console: Console, folds: int) -> Iterator[FoldBar]:
    """Yield a view of a cross-validation of so many folds."""
    columns = (BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.description}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        yield FoldBar(progress, folds)


def epoch_line(event: EpochMetrics) -> str:
    """Return epoch, losses, seconds and time left as one line."""
    width = len(str(event.epochs))
    return (
        f"epoch {event.epoch:{width}}/{event.epochs}  {losses(event)}  "
        f"{event.elapsed_s:.1f} s, {event.remaining_s:.1f} s left"
    )


def was_probed(event: EpochMetrics) -> bool:
    """Return whether the model was measured on the test rows in this epoch."""
    return event.test_accuracy is not None or event.test_rmse is not None


def losses(event: EpochMetrics) -> str:
    """Return the losses and, if measured, the figure of the test rows and the speed."""
    parts = [f"train loss {event.train_loss:.4f}"]
    if event.validation_loss is not None:
        parts.append(f"validation loss {event.validation_loss:.4f}")
    if event.test_accuracy is not None:
        parts.append(f"test accuracy {event.test_accuracy:.4f}")
    if event.test_rmse is not None:
        parts.append(f"test RMSE {format_figure(event.test_rmse)}")
    if event.rows_per_s:
        parts.append(f"{event.rows_per_s:,.0f} rows/s")
    return "  ".join(parts)


def sentence(event: Notice | JobResult) -> str:
    """Return the text of a notice or a result for people."""
    if isinstance(event, Notice):
        return f"warning: {event.message}" if event.level == "warning" else event.message
    return event.detail if event.reason == "succeeded" else f"{event.reason}: {event.detail}"
