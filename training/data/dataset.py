"""Rows with their targets.

It must not know files. N is rows, F features, W cells of a row and K classes everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from modelstore import Task
from training.data.columns import Column
from training.data.repeats import Marks

SPARE_BYTES = 64 << 20


def evenly_spread(rows: int, most: int) -> npt.NDArray[np.int64]:
    """Return the ascending positions of at most `most` of so many rows, evenly spread from the first to the last."""
    return np.linspace(0, rows - 1, min(rows, most)).astype(np.int64)


@dataclass(frozen=True)
class Dataset:
    """Rows with their classes or values.

    Attributes:
        x: cells, float32, shape (N, W); NaN is missing.
        y: class indices, int64, shape (N,), 0 to K - 1; of a regression the values, float64, shape (N,).
        columns: F feature columns in the order of their cells.
        classes: K names in class order; empty for a regression.
        lines: line of each row in its data file, the header being line 1, shape (N,); -n of the n-th row of feedback.
        marks: 64-bit mark of each row, equal for rows with equal values in the file, shape (N,).
        marked: names of the columns that count for the marks beside the target, sorted.
        groups: 64-bit mark of each row, equal for the rows of one group, shape (N,); None if no groups are held out.
    """

    x: npt.NDArray[np.float32]
    y: npt.NDArray[Any]
    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    lines: npt.NDArray[np.int64]
    marks: Marks
    marked: tuple[str, ...] = ()
    groups: Marks | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def features(self) -> tuple[str, ...]:
        """Return the names of the feature columns, length F."""
        return tuple(column.name for column in self.columns)

    @property
    def task(self) -> Task:
        """Return what is learnt."""
        return "classification" if self.classes else "regression"

    @property
    def together(self) -> Marks:
        """Return a mark of each row, equal for those that must be on one side: of one group, or equal rows, (N,)."""
        return self.marks if self.groups is None else self.groups

    @property
    def is_one_group(self) -> bool:
        """Return whether groups are to be held out, and there is only one."""
        return self.groups is not None and bool((self.groups == self.groups[:1]).all())

    def rows(self, index: npt.NDArray[np.int64] | slice) -> Dataset:
        """Return the rows at the given positions, shape (n,), in that order; a slice shares this data set's memory."""
        groups = None if self.groups is None else self.groups[index]
        lines, marks = self.lines[index], self.marks[index]
        return replace(self, x=self.x[index], y=self.y[index], lines=lines, marks=marks, groups=groups)

    def thin(self, most: int, of_class: int = 0) -> Dataset:
        """Return at most so many rows, evenly spread, and more of a class that would have fewer than `of_class`."""
        chosen = evenly_spread(len(self), most)
        if self.classes and of_class and len(chosen) < len(self):
            kept = np.bincount(self.y[chosen], minlength=len(self.classes))
            for own in (np.flatnonzero(self.y == rare) for rare in np.flatnonzero(kept < of_class)):
                chosen = np.union1d(chosen, own[evenly_spread(len(own), of_class)])
        return self.rows(chosen)

    def reorder(self, order: npt.NDArray[np.int64]) -> None:
        """Reorder the rows in place, a few columns at a time to bound memory."""
        columns = max(1, SPARE_BYTES // (4 * len(order)))
        for first in range(0, self.x.shape[1], columns):
            some = slice(first, first + columns)
            self.x[:, some] = self.x[order, some]
        for values in (self.y, self.lines, self.marks, self.groups):
            if values is not None:
                values[:] = values[order]
