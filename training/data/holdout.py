"""Ways to hold rows out: by a hash of their content, by time, by group, or shuffled.

Each way gives positions of the remaining and of the held-out rows. It must not know files or networks. N is rows.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from training.config.recipe import DataSource
from training.data.columns import cells_of
from training.data.dataset import Dataset
from training.data.repeats import Marks, mark, text_mark

Ints = npt.NDArray[np.int64]
Sides = tuple[Ints, Ints]
"""Positions of the remaining and of the held-out rows."""

Purpose = Literal["test", "validation", "calibration"]
"""What rows are held out for: of the whole table for testing, of the training rows for early stopping or for the scores
of prediction sets."""

KEYS: dict[Purpose, int] = {"test": 0x7E57, "validation": 0x7A11D, "calibration": 0xCA11B}
"""Keys of hashes, so that rows for different purposes are held out independently of each other."""

MOST_HELD = 0.5  # of the training rows: else one time, or a large group, may leave hardly any to fit to


class HoldOut(Protocol):
    """A way to hold rows out."""

    def hold_out(self, rows: Dataset, fraction: float, purpose: Purpose, seed: int = 0) -> Sides:
        """Hold out about this share of the rows; `seed` is for validation rows that are drawn."""


@dataclass(frozen=True)
class Shuffled:
    """Draw rows by a seed: a table that has grown gives other test rows.

    Attributes:
        split_seed: seed of the test rows.
        stratify: whether each class has the same share on both sides; validation rows of classes always have.
    """

    split_seed: int = 42
    stratify: bool = False

    def hold_out(self, rows: Dataset, fraction: float, purpose: Purpose, seed: int = 0) -> Sides:
        """Hold out rows stratified by class, of a regression at random; test rows as the tutorials, unless stratified.

        The seed of the test rows draws calibration rows, too.
        """
        if purpose != "test" or (self.stratify and rows.classes):
            classes = rows.y if rows.classes else np.zeros(len(rows), dtype=np.int64)
            return stratify(classes, fraction, seed if purpose == "validation" else self.split_seed)
        try:
            train, test = train_test_split(np.arange(len(rows)), test_size=fraction, random_state=self.split_seed)
        except ValueError:
            return _sides(np.ones(len(rows), dtype=np.bool_))  # the caller says that no rows are left
        return train, test


@dataclass(frozen=True)
class Hashed:
    """Take rows by a hash of their content: a row keeps its side in a grown, shuffled or shortened table.

    Rows with equal values have one side. Shares vary by chance.

    Attributes:
        draw: number of the draw, which is added to the keys; recipes use draw 0.
    """

    draw: int = 0

    def hold_out(self, rows: Dataset, fraction: float, purpose: Purpose, _seed: int = 0) -> Sides:
        """Hold out rows by their marks."""
        return _first(position(rows.marks, KEYS[purpose] + self.draw), fraction)


@dataclass(frozen=True)
class Latest:
    """Hold out the latest rows by a column of dates or numbers; rows of one time stay on one side.

    Rows without a time are never held out. Of the training rows, most are not: if the rows of a time would be, those of
    later times are, and none if there are no later ones.
    """

    column: str

    def hold_out(self, rows: Dataset, fraction: float, purpose: Purpose, _seed: int = 0) -> Sides:
        """Hold out the latest rows."""
        times = self._times(rows)
        known = np.sort(times[~np.isnan(times)])
        if not len(known):
            return _sides(np.zeros(len(rows), dtype=np.bool_))
        first = known[min(len(known) - 1, int(np.ceil(len(known) * (1 - fraction))))]
        latest = times >= first
        return _sides(times > first if purpose != "test" and latest.mean() > MOST_HELD else latest)

    def windows(self, rows: Dataset, folds: int) -> list[Sides]:
        """Return folds in time: a stretch of rows is held out, and all that are earlier, or have no time, remain.

        There are as many rows in each stretch, of which the first is never held out; where rows of one time are more
        than that, there are fewer stretches.
        """
        times = self._times(rows)
        known = np.sort(times[~np.isnan(times)])
        if not len(known):
            return []
        firsts = np.unique(known[np.arange(1, folds + 1) * len(known) // (folds + 1)])
        firsts = firsts[firsts > known[0]]
        return [
            (np.flatnonzero(~(times >= first)), np.flatnonzero((times >= first) & (times < end)))
            for first, end in itertools.pairwise([*firsts, np.inf])
        ]

    def _times(self, rows: Dataset) -> npt.NDArray[np.float64]:
        cells = rows.x[:, _cells(rows, self.column)].astype(np.float64)  # (N, 1 or 2)
        days: npt.NDArray[np.float64] = cells[:, 0] if cells.shape[1] == 1 else cells[:, 0] + cells[:, 1] / 86_400
        return days


@dataclass(frozen=True)
class Grouped:
    """Hold out whole groups: all rows with one value of a column, which were marked so, are on one side."""

    column: str

    def hold_out(self, rows: Dataset, fraction: float, purpose: Purpose, _seed: int = 0) -> Sides:
        """Hold out groups by a hash of their value; of the training rows the others, if these are most of the rows."""
        assert rows.groups is not None  # see `mark`
        rest, held = _first(position(rows.groups, KEYS[purpose]), fraction)
        return (held, rest) if purpose != "test" and len(held) > MOST_HELD * len(rows) else (rest, held)

    def mark(self, rows: Dataset) -> Dataset:
        """Return the rows with marks of their groups; before texts get codes of categories, which rare ones share.

        Numbers were marked as they were read: float32 cannot tell those of nine digits apart.
        """
        if rows.groups is not None:
            return rows
        column = rows.columns[rows.features.index(self.column)]
        cells = rows.x[:, _cells(rows, self.column)]
        groups = np.zeros(len(rows), dtype=np.uint64)
        if column.type == "categorical":
            marks = np.array([text_mark(text) for text in (*column.texts, "")], dtype=np.uint64)
            groups = marks[np.nan_to_num(cells[:, 0], nan=len(column.texts)).astype(np.int64)]
        else:
            for cell in cells.T:
                mark(groups, np.nan_to_num(cell.astype(np.float64)))
        return replace(rows, groups=groups)


def hold_out_validation_rows(rows: Dataset, fraction: float, seed: int, way: HoldOut) -> Sides:
    """Hold out validation rows, drawn where the way leaves a side without rows, as all are of one group or time."""
    fit, validation = way.hold_out(rows, fraction, "validation", seed)
    if len(fit) and len(validation):
        return fit, validation
    return Shuffled().hold_out(rows, fraction, "validation", seed)


def position(marks: Marks, key: int) -> npt.NDArray[np.float64]:
    """Return a place between 0 and 1 for each mark, which a key makes independent of those by other keys.

    Source: the finaliser of splitmix64, Steele, Lea & Flood, OOPSLA 2014, figure 14.
    """
    bits = marks ^ np.uint64(key * 0x9E3779B97F4A7C15 % 2**64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    places: npt.NDArray[np.float64] = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return places


def stratify(y: npt.NDArray[Any], fraction: float, seed: int) -> Sides:
    """Return shuffled positions of the remaining and of the held-back rows, with the same share of each class.

    Args:
        y: class indices, shape (N,).
        fraction: share to hold back, above 0 and below 1; at least one row of each class but not all of them.
        seed: seed of the selection and of the order.
    """
    order = np.random.default_rng(seed).permutation(len(y))
    by_class = y[order].astype(np.uint16).argsort(kind="stable")  # two bytes are sorted by radix, in O(N)
    held_back = np.zeros(len(y), dtype=np.bool_)
    counts = np.bincount(y)
    for last, share in zip(counts.cumsum().tolist(), _shares(counts, fraction).tolist(), strict=True):
        held_back[by_class[last - share : last]] = True
    return order[~held_back], order[held_back]


def _shares(counts: Ints, fraction: float) -> Ints:
    """Return the number of rows to hold back per class, at least one but not all, shape (K,)."""
    shares: Ints = np.rint(counts * fraction).astype(np.int64).clip(1, None)
    return np.minimum(shares, counts - 1).clip(0, None)


def _first(places: npt.NDArray[np.float64], fraction: float) -> Sides:
    """Hold out rows by their place; in a small table, where chance leaves a side empty, the first or the last row."""
    return _sides(places < min(max(fraction, np.nextafter(places.min(), 1)), places.max()))


def _sides(held_out: npt.NDArray[np.bool_]) -> Sides:
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _cells(rows: Dataset, column: str) -> slice:
    return cells_of(rows.columns)[rows.features.index(column)]


def way_of(source: DataSource) -> HoldOut:
    """Return how a data source wants rows held out."""
    if source.split and source.split.time:
        return Latest(source.split.time)
    if source.split and source.split.group:
        return Grouped(source.split.group)
    return Hashed() if source.assign == "hash" else Shuffled(source.split_seed, source.stratify)
