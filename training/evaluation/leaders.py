"""Make the leader board: a model, its members and baselines on the same test rows.

It must not know learners or the model store.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from modelstore import Leader, LeaderBoard, Notice, RegressionBaseline
from modelstore.evaluation import format_figure
from modelstore.overrides import LearnerName
from training.data.dataset import Dataset
from training.evaluation.metrics import Floats
from training.evaluation.task import evaluation_of, mean_with_error, pieces_of
from training.learners.protocol import Report

MAX_ROWS = 20_000  # with more, KNN takes longer than the training
TIMED_CALLS = 9
LINEAR = ("linear", "logistic_regression", "ridge")
LEARNERS: dict[str, LearnerName] = {  # that do what a baseline does
    "logistic_regression": "linear",
    "ridge": "linear",
    "gradient_boosting": "trees",
}


@dataclass(frozen=True)
class Rival:
    """A fitted model for the board; the fields are those of `Leader`."""

    name: str
    role: Literal["model", "member", "baseline"]
    predict: Callable[[Any], Floats]
    train_s: float
    weight: float | None = None


class _Measured(NamedTuple):
    """A leader with its loss on each row, (n,)."""

    leader: Leader
    losses: Floats


def make_board(rivals: Sequence[Rival], test: Dataset, learner: LearnerName, report: Report) -> LeaderBoard:
    """Measure rivals on at most `MAX_ROWS` test rows, evenly spread; one with an answer that is not finite is left out.

    The model comes first, and the naive baseline is among the others. A warning is reported of each that is left out.
    """
    rows = test.thin(MAX_ROWS)
    with threadpool_limits(1, "openmp"):  # threads of boosting wait for each other a hundred times a call
        measured = [found for rival in rivals if (found := _measure(rival, rows, report))]
    is_linear = learner == "linear" or any(rival.name == "linear" and rival.weight == 1 for rival in rivals)
    ordered = sorted(measured, key=lambda found: found.losses.mean())
    return LeaderBoard(
        rows=len(rows),
        leaders=tuple(found.leader for found in ordered),
        conclusion=_conclude(measured[0], measured[1:], evaluation_of(rows).naive, is_linear=is_linear),
    )


def _measure(rival: Rival, rows: Dataset, report: Report) -> _Measured | None:
    """Return the figures of a rival, or None if an answer is not finite."""
    task, pieces = evaluation_of(rows), list(pieces_of(rival.predict, rows))
    if not all(np.isfinite(answers).all() for answers, _ in pieces):
        problem = "its answer to a test row is not finite"
        report(Notice(level="warning", message=f"{rival.name} is not on the leader board: {problem}"))
        return None
    losses = np.concatenate([task.row_losses(answers, y) for answers, y in pieces])  # (n,)
    figures = task.score(task.evaluate(pieces, rows.classes, "test"))
    leader = Leader(
        name=rival.name,
        role=rival.role,
        figures=figures,
        error=_compute_error(losses, figures.rmse if isinstance(figures, RegressionBaseline) else None),
        weight=rival.weight,
        train_s=round(rival.train_s, 3),
        row_us=_time_row(rival.predict, rows),
    )
    return _Measured(leader, losses)


def _compute_error(losses: Floats, rmse: float | None) -> float | None:
    """Return the standard error of the mean loss or, by the delta method, of its root; None for a single row."""
    if len(losses) < 2:
        return None
    error = float(losses.std(ddof=1)) / math.sqrt(len(losses))
    return error if rmse is None else error / (2 * rmse) if rmse else 0.0


def _time_row(predict: Callable[[Any], Floats], rows: Dataset) -> float:
    """Return the median time of one row alone in microseconds, after a first call that is not counted."""
    row, times_s = rows.x[:1], []
    predict(row)
    for _ in range(TIMED_CALLS):
        started_s = time.perf_counter()
        predict(row)
        times_s.append(time.perf_counter() - started_s)
    return round(1e6 * statistics.median(times_s), 1)


def _conclude(model: _Measured, others: Sequence[_Measured], naive: str, *, is_linear: bool) -> str:
    """Return what the board means: whether something simpler is as good within the error, or better."""
    simple = [other for other in others if other.leader.role == "baseline" or other.leader.name in LINEAR]
    simple = [other for other in simple if not is_linear or other.leader.name not in LINEAR]
    gains = [(*_measure_gain(model, other), other.leader) for other in simple]
    as_good = [leader for mean, error, leader in gains if mean <= error]
    better = [(mean, leader) for mean, error, leader in gains if mean < -error]
    ours = model.leader
    if naive in (leader.name for leader in as_good):
        return f"{naive}, which ignores the columns, is as good within the error: they tell next to nothing here"
    if better:
        best = min(better, key=lambda pair: pair[0])[1]
        return f"{best.name} is better by more than the error{_format_figures(best, ours)}{_advise(best, ours)}"
    if as_good:
        found = next((leader for leader in as_good if leader.name in LINEAR), as_good[0])
        what = "a linear model" if found.name in LINEAR else found.name
        return f"{what} is as good within the error{_format_figures(found, ours)}{_advise(found, ours)}"
    following = min(gains, key=lambda gain: gain[0])[2]
    return f"no simple model is as good: {following.name}, the next, is worse{_format_figures(following, ours)}"


def _measure_gain(model: _Measured, other: _Measured) -> tuple[float, float]:
    """Return by how much the model's loss per row is smaller on average, and the standard error of that mean."""
    return mean_with_error(other.losses - model.losses)


def _format_figures(other: Leader, model: Leader) -> str:
    deciding, ours = other.figures.headline[-1], model.figures.headline[-1]
    return f" ({deciding.name} {format_figure(deciding.value)}, the model's {format_figure(ours.value)})"


def _advise(other: Leader, model: Leader) -> str:
    """Return what to do about a simpler model that is as good or better, if a learner does the same."""
    learner = "linear" if other.name in LINEAR else LEARNERS.get(other.name)
    if learner is None:
        return ""
    times = model.row_us / other.row_us if other.row_us and other.role == "member" else 0
    return f": `learner: {learner}`" + (f" answers a row {times:.0f} times faster" if times >= 2 else " gives one")
