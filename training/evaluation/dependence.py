"""Compute how answers depend on one column: partial dependence, with lines of single rows.

Sources: Friedman, Ann. Stat. 29, 2001, section 8.2; Goldstein et al., J. Comput. Graph. Stat. 24, 2015, for the lines.
It must not know any model.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson

from training.data.columns import Column, cells_of
from training.data.dataset import Dataset, evenly_spread
from training.learners.protocol import Predict

POINTS = 21  # quantiles of a column's values
MOST_COLUMNS = 10
MOST_CATEGORIES = 20  # the most frequent ones
MEAN_ROWS, LINES = 100, 50
TRAINING_ROWS = 10_000  # whose quantiles are taken
EPOCH = datetime.date(1970, 1, 1)

Cells = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Dependence:
    """Answers where a column of some rows has one value after the other.

    Attributes:
        column: name of the column.
        values: numbers, or texts of categories, truth values and days, (V,).
        means: mean answers over the rows, (V, K).
        output: the output of `lines`: of several classes the one whose mean varies most.
        lines: answers for single rows, (at most 50, V).
        deciles: the nine inner deciles of the column's training values, if they are numbers.
    """

    column: str
    values: list[float] | list[str]
    means: Cells
    output: int
    lines: Cells
    deciles: list[float]


def measure_dependence(predict: Predict, train: Dataset, test: Dataset, columns: Sequence[str]) -> list[Dependence]:
    """Return the dependence on each column, at most the first ten.

    Args:
        predict: the model.
        train: the training rows, whose values a column gets.
        test: the test rows, of which at most 100, evenly spread, get them.
        columns: names of columns, the most important first.
    """
    places = dict(zip(test.features, zip(test.columns, cells_of(test.columns), strict=True), strict=True))
    known = train.thin(TRAINING_ROWS).x
    rows = test.thin(MEAN_ROWS).x
    found = []
    for name in columns[:MOST_COLUMNS]:
        column, cells = places[name]
        if one := _measure_one(predict, rows, column, cells, known[:, cells]):
            found.append(one)
    return found


def to_json(found: Sequence[Dependence], outputs: Sequence[str]) -> bytes:
    """Return the content of `partial_dependence.json`; `outputs` are the names of the classes, or `value`."""
    columns = {
        one.column: {
            "values": one.values,
            "means": {name: np.ascontiguousarray(one.means[:, place]) for place, name in enumerate(outputs)},
            "lines_of": outputs[one.output],
            "lines": np.ascontiguousarray(one.lines),
        }
        for one in found
    }
    return orjson.dumps({"columns": columns}, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"


def _measure_one(predict: Predict, rows: Cells, column: Column, cells: slice, known: Cells) -> Dependence | None:
    """Return the dependence on one column; None if it has a single value, or none."""
    grid = _choose_values(column, known)  # (V, width)
    if len(grid) < 2:
        return None
    mixed = np.tile(rows, (len(grid), 1))
    mixed[:, cells] = np.repeat(grid, len(rows), axis=0)
    answers = predict(mixed).reshape(len(grid), len(rows), -1)  # (V, n, K)
    means = answers.mean(axis=1)
    output = int(np.ptp(means, axis=0).argmax()) if means.shape[1] != 2 else 1
    lines = answers[:, evenly_spread(len(rows), LINES), output].T
    deciles = np.nanquantile(known[:, 0], np.arange(1, 10) / 10).tolist() if column.type == "numeric" else []
    return Dependence(column.name, _format_grid(column, grid), means, output, lines, deciles)


def _choose_values(column: Column, known: Cells) -> Cells:
    """Return the values that a column gets, as cells, (V, width); empty if it has none."""
    present = known[~np.isnan(known[:, 0])]
    if not len(present):
        return present
    if column.type in ("numeric", "datetime"):
        first = np.unique(np.quantile(present[:, 0], np.linspace(0, 1, POINTS), method="nearest"))
        second = np.median(present[:, 1:], axis=0).round()  # the time of day
        return np.column_stack((first, np.tile(second, (len(first), 1)))).astype(np.float32)
    codes, counts = np.unique(present[:, 0], return_counts=True)
    kept = np.sort(codes[np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]])
    return kept[:, None].astype(np.float32)


def _format_grid(column: Column, grid: Cells) -> list[float] | list[str]:
    if column.type == "numeric":
        return [float(str(value)) for value in grid[:, 0]]
    if column.type == "datetime":
        return [(EPOCH + datetime.timedelta(days=int(day))).isoformat() for day in grid[:, 0]]
    return [column.texts[code] if code < len(column.texts) else "(other)" for code in grid[:, 0].astype(int)]
