"""Measure by how much a model is worse where the values of a column are shuffled.

Source: Breiman, Random Forests, 2001, section 10. It must not know any model.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from modelstore import ColumnImportance, Importance, JointImportance, Notice
from modelstore.intervals import TWO_SIDED
from training.data.columns import cells_of
from training.data.dataset import Dataset
from training.evaluation.task import evaluation_of
from training.learners.protocol import CHUNK_CELLS, CHUNK_ROWS, Predict, Report

SHARE, LEAST_S = 0.1, 1.0  # time that it may take: a share of the training's, or some seconds
MOST_ROWS, FEWEST_ROWS = 2_000, 100
REPEATS, FEWEST_REPEATS = 30, 5
MIN_CORRELATION = 0.9  # correlation beyond which columns are shuffled together, too
MOST_COMPARED = 1_000  # columns; the correlations of more take too much memory

Cells = npt.NDArray[np.float32]
Places = list[int]
"""Cells of a row that are shuffled together."""


def measure_importance(predict: Predict, test: Dataset, report: Report, *, budget_s: float) -> Importance | None:
    """Return the importance of each column on at most 2,000 test rows, with 30 repeats or as many as there is time for.

    Args:
        predict: the model.
        test: the test rows, at least one.
        report: receives a notice if not all rows are used, or nothing is measured for lack of time.
        budget_s: time that it may take.

    Returns:
        None for a single row, or if even the fewest rows and repeats would take longer.
    """
    groups = [list(range(cells.start, cells.stop)) for cells in cells_of(test.columns)]
    correlated = _find_correlated(test)
    size = _choose_size(predict, test, len(groups) + len(correlated), budget_s)
    if size is None:
        if len(test) > 1:
            message = (
                f"importance of columns is not measured: {len(groups)} columns would take more than {budget_s:.0f} s"
            )
            report(Notice(message=message))
        return None
    rows, repeats = size
    if rows < min(len(test), MOST_ROWS) or repeats < REPEATS:
        message = f"importance of columns is measured on {rows} of {len(test)} test rows, {repeats} times"
        report(Notice(message=message))
    some = test.thin(rows)
    shuffled = _Shuffled(predict, some, repeats)
    found = {name: shuffled.measure(places) for name, places in zip(test.features, groups, strict=True)}
    together = [
        JointImportance(
            columns=tuple(test.features[column] for column in columns),
            **dict(shuffled.measure([cell for column in columns for cell in groups[column]])),
        )
        for columns in correlated
    ]
    return Importance(
        figure="log_loss" if test.task == "classification" else "rmse",
        rows=rows,
        repeats=repeats,
        columns=dict(sorted(found.items(), key=lambda one: -one[1].mean)),
        together=tuple(together),
    )


class _Shuffled:
    """Compares a model on rows with itself on shuffled ones; all columns are shuffled in the same orders."""

    def __init__(self, predict: Predict, rows: Dataset, repeats: int) -> None:
        generator = np.random.default_rng(0)
        self._predict, self._rows = predict, rows
        self._orders = np.stack([generator.permutation(len(rows)) for _ in range(repeats)])  # (R, n)
        self._whole = _measure_loss(rows, predict(rows.x))

    def measure(self, places: Places) -> ColumnImportance:
        """Return by how much the model is worse where these cells are those of other rows."""
        rises = np.array([_measure_loss(self._rows, answers) for answers in self._answers(places)]) - self._whole
        mean, reach = float(rises.mean()), TWO_SIDED * float(rises.std(ddof=1)) / math.sqrt(len(rises))
        return ColumnImportance(mean=mean, interval=(mean - reach, mean + reach))

    def _answers(self, places: Places) -> Iterator[Cells]:
        """Yield the answers to the rows of each repeat; several are computed at once."""
        x, rows = self._rows.x, len(self._rows)
        at_once = max(1, min(CHUNK_ROWS // rows, CHUNK_CELLS // x.size))
        for first in range(0, len(self._orders), at_once):
            orders = self._orders[first : first + at_once]
            mixed = np.tile(x, (len(orders), 1))
            mixed[:, places] = x[orders.ravel()[:, None], places]
            yield from self._predict(mixed).reshape(len(orders), rows, -1)


def _measure_loss(rows: Dataset, answers: Cells) -> float:
    """Return the log loss in nats, or the RMSE."""
    mean = float(evaluation_of(rows).row_losses(answers, rows.y).mean())
    return mean if rows.task == "classification" else math.sqrt(mean)


def _choose_size(predict: Predict, test: Dataset, groups: int, budget_s: float) -> tuple[int, int] | None:
    """Return how many rows and repeats the time is enough for; None if not for the fewest."""
    if len(test) < 2:
        return None
    some = np.resize(
        test.x[:CHUNK_ROWS], (max(1, min(CHUNK_ROWS // 8, CHUNK_CELLS // test.x.shape[1])), test.x.shape[1])
    )
    row_s = min(_time_s(lambda: predict(some)) for _ in range(2)) / len(some)
    each = budget_s / (row_s * groups)  # rows of all repeats of a column
    rows = min(len(test), MOST_ROWS, max(FEWEST_ROWS, int(each / REPEATS)))
    repeats = min(REPEATS, int(each / rows))
    return (rows, repeats) if repeats >= FEWEST_REPEATS else None


def _time_s(work: Callable[[], Any]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


def _find_correlated(test: Dataset) -> list[Sequence[int]]:
    """Return groups of columns of numbers or truth values whose correlations are beyond 0.9, directly or in a chain."""
    cells = cells_of(test.columns)
    columns = [place for place, column in enumerate(test.columns) if column.type in ("numeric", "boolean")]
    if not 2 <= len(columns) <= MOST_COMPARED or len(test) < FEWEST_REPEATS:
        return []
    x = test.x[:MOST_ROWS, [cells[place].start for place in columns]].astype(np.float64)
    known = ~np.isnan(x)
    means = np.where(known, x, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    x = np.where(known, x - means, 0)
    x /= np.maximum(np.sqrt((x**2).sum(axis=0)), np.finfo(np.float64).tiny)
    linked: npt.NDArray[np.bool_] = np.abs(x.T @ x) > MIN_CORRELATION
    return [[columns[place] for place in group] for group in _join_linked(linked) if len(group) > 1]


def _join_linked(linked: npt.NDArray[np.bool_]) -> Iterator[list[int]]:
    """Yield the groups of places that are linked directly or through others."""
    left = set(range(len(linked)))
    while left:
        group, new = set[int](), {min(left)}
        while new:
            group |= new
            new = set(np.flatnonzero(linked[list(new)].any(axis=0)).tolist()) - group
        left -= group
        yield sorted(group)
