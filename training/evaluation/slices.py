"""Measure a model on slices of the test rows: those that have some values of a column.

It must not know any model. N is rows everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from modelstore import Decision, Importance, Slice, Slices
from modelstore.intervals import wilson
from modelstore.slices import MAX_COLUMNS, MAX_SLICES
from training.data.columns import Column, cells_of
from training.data.dataset import Dataset
from training.evaluation.decisions import choose_labels
from training.evaluation.intervals import Sums
from training.evaluation.task import evaluation_of
from training.learners.protocol import CHUNK_CELLS, Predict

MOST_ROWS, FEWEST_ROWS = 20_000, 1_000
FREQUENT = 5  # values of a column of texts with a slice of their own
DAY_S = 86_400
OTHER, MISSING = "other values", "missing"

Rows = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]


def measure_slices(
    predict: Predict,
    test: Dataset,
    target: str,
    *,
    decision: Decision | None = None,
    importance: Importance | None = None,
) -> Slices:
    """Return the accuracy or RMSE on slices of at most 20,000 evenly spread test rows, fewer if rows are wide.

    Args:
        predict: the model.
        test: the test rows, at least one.
        target: name of the column that is predicted.
        decision: how it chooses a class, if not the most probable one.
        importance: of its columns; of very many, the most important ones have slices, else the first ones.
    """
    some = test.thin(min(MOST_ROWS, max(FEWEST_ROWS, CHUNK_CELLS // test.x.shape[1])))
    answers = predict(some.x)
    if some.classes:
        marks = choose_labels(answers, decision) == some.y
    else:
        marks = evaluation_of(some).row_losses(answers, some.y)
    names = list(importance.columns) if importance else list(some.features)
    chosen = sorted(names[: MAX_COLUMNS - 1], key=some.features.index)
    found = {target: list(_slice_target(some, marks))}
    for name, column, cells in zip(some.features, some.columns, cells_of(some.columns), strict=True):
        if name in chosen:
            found[name] = list(_slice_column(column, some.x[:, cells].astype(np.float64), marks))
    return Slices(
        figure="accuracy" if some.classes else "rmse",
        rows=len(some),
        columns={name: tuple(slices) for name, slices in found.items()},
        left_out=len(some.features) - len(chosen),
    )


def _slice_target(rows: Dataset, marks: npt.NDArray[Any]) -> Iterator[Slice]:
    """Yield the slices of the classes that have rows, or of thirds of the values; many rare classes share one."""
    if not rows.classes:
        yield from _slice_thirds(rows.y, marks, "numeric")
        return
    frequent = set(range(len(rows.classes)))
    if len(frequent) > MAX_SLICES:
        counts = np.bincount(rows.y, minlength=len(rows.classes))
        frequent = set(np.argsort(-counts, kind="stable")[: MAX_SLICES - 1].tolist())
    for place in sorted(frequent):
        yield from _measure_slice(rows.classes[place], rows.y == place, marks)
    yield from _measure_slice(OTHER, ~np.isin(rows.y, list(frequent)), marks)


def _slice_column(column: Column, cells: Values, marks: npt.NDArray[Any]) -> Iterator[Slice]:
    """Yield the slices of a feature; cells are (N, 1), or (N, 2) of a date."""
    missing = np.isnan(cells[:, 0])
    if column.type in ("numeric", "datetime"):
        values = cells[:, 0] + (cells[:, 1] / DAY_S if column.type == "datetime" else 0)
        yield from _slice_thirds(values, marks, column.type)
    else:
        codes = np.where(missing, len(column.texts), cells[:, 0]).astype(np.int64)  # "other" beside the missing
        counts = np.bincount(codes, minlength=len(column.texts))[: len(column.texts)]
        frequent = np.argsort(-counts, kind="stable")[:FREQUENT]
        for place in frequent:
            yield from _measure_slice(column.texts[place], codes == place, marks)
        yield from _measure_slice(OTHER, ~np.isin(codes, frequent) & ~missing, marks)
    yield from _measure_slice(MISSING, missing, marks)


def _slice_thirds(values: Values, marks: npt.NDArray[Any], kind: str) -> Iterator[Slice]:
    """Yield slices at the terciles of the present values; equal values share one, so there may be fewer than three."""
    present = values[~np.isnan(values)]
    if not len(present):
        return
    low, high = np.quantile(present, (1 / 3, 2 / 3))
    for within in (values <= low, (values > low) & (values <= high), values > high):
        if within.any():
            ends = [_format_end(float(end), kind) for end in (values[within].min(), values[within].max())]
            yield from _measure_slice(ends[0] if ends[0] == ends[1] else " to ".join(ends), within, marks)


def _format_end(value: float, kind: str) -> str:
    """Return an end of a slice for people: a number, or the day of a date."""
    if kind == "datetime":
        return datetime.fromtimestamp(math.floor(value) * DAY_S, UTC).date().isoformat()
    return f"{value:.6g}"


def _measure_slice(values: str, within: Rows, marks: npt.NDArray[Any]) -> Iterator[Slice]:
    """Yield the slice of these rows, if there are any; marks are whether labels are right, or squared errors, (N,)."""
    inside = marks[within]
    if not len(inside):
        return
    sums = Sums()
    sums.add(inside)
    if marks.dtype == np.bool_:
        yield Slice(values=values, rows=sums.rows, figure=sums.mean, interval=wilson(sums.mean, sums.rows))
        return
    limits = sums.interval
    roots = (math.sqrt(limits[0]), math.sqrt(limits[1])) if limits else None
    yield Slice(values=values, rows=sums.rows, figure=math.sqrt(sums.mean), interval=roots)
