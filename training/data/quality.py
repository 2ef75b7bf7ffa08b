"""Find columns that leak the target or are constant, and repeated rows.

N is rows, F features, W cells of a row and K classes everywhere. Memory: one chunk, or one column.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from training.data.columns import cells_of
from training.data.dataset import Dataset
from training.data.repeats import count_duplicates
from training.preprocessing.scaler import CHUNK_ROWS, find_constant_columns

TELLING = 0.999  # share of rows whose class a column of categories tells, from which on it is suspected
NEARLY_ONE_CLASS = 0.99  # with a class of this share, telling it is easy
TELLING_RANKS = 0.999  # rank correlation with the target, likewise
MOST_RANKED = 100_000  # rows whose ranks are compared

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def find_suspicions(train: Dataset, test: Dataset, *, images: bool = False) -> Iterator[str]:
    """Yield warnings about the columns and rows of a table; each begins with what follows the name of the file.

    Of `images`, the columns are pixels, of which some are always the same.
    """
    for name, flat in zip(train.features, constant_features(train), strict=True):
        if flat and not images:
            yield f", column {name!r}: constant in the training rows, so it says nothing; leave it out"
    for name, figure in suspect_leaks(train):
        yield (f", column {name!r}: leakage_suspect, {figure}; leave it out if it is known only after the target")
    repeated, shared = count_duplicates(train.marks, test.marks)
    if repeated:
        yield (
            f": {repeated} of {len(train) + len(test)} rows repeat another one; "
            f"{shared} of {len(test)} test rows are training rows too"
        )


def constant_features(rows: Dataset) -> Iterator[bool]:
    """Yield for each feature whether its present values are the same except for rounding."""
    for column, place in zip(rows.columns, cells_of(rows.columns), strict=True):
        cells = rows.x[:, place]
        present = cells[~np.isnan(cells[:, 0])]
        if column.type == "numeric" and len(present):
            yield bool(find_constant_columns(present).all())
        else:
            yield not len(present) or bool((present == present[0]).all())


def suspect_leaks(train: Dataset) -> Iterator[tuple[str, str]]:
    """Yield the name of each feature that alone tells the target of the training rows, and how well."""
    if not train.classes:
        yield from _find_ranked_alike(train)
        return
    numeric = [column.type in ("numeric", "datetime") for column in train.columns for _ in range(column.width)]
    apart = set(leaking_columns(train.x, train.y, len(train.classes)))
    for column, place in zip(train.columns, cells_of(train.columns), strict=True):
        if numeric[place.start]:
            if place.start in apart:
                yield column.name, "it alone tells every class of the training rows"
        elif (share := _measure_leak(train.x[:, place.start], train.y, len(train.classes))) is not None:
            yield column.name, f"it alone tells the class of {share:.2%} of the training rows"


def _measure_leak(codes: Floats, y: Ints, classes: int) -> float | None:
    """Return the share of rows whose class a column of codes tells, if that is suspicious."""
    groups = np.nan_to_num(codes, nan=-1).astype(np.int64) + 1
    table = np.bincount(groups * classes + y, minlength=classes * (groups.max() + 1)).reshape(-1, classes)  # (V, K)
    share = float(table.max(axis=1).sum() / len(y))
    easy = float(table.sum(axis=0).max() / len(y)) >= NEARLY_ONE_CLASS or 10 * len(table) > len(y)
    return share if share >= TELLING and not easy else None


def _find_ranked_alike(train: Dataset) -> Iterator[tuple[str, str]]:
    """Yield numeric columns whose order is that of the target."""
    step = -(-len(train) // MOST_RANKED)
    for column, place in zip(train.columns, cells_of(train.columns), strict=True):
        if column.type not in ("numeric", "datetime"):
            continue
        values, truth = train.x[::step, place.start], train.y[::step]
        present = ~np.isnan(values)
        if present.sum() < 10 or np.ptp(values[present]) == 0 or np.ptp(truth[present]) == 0:
            continue
        correlation = float(spearmanr(values[present], truth[present]).statistic)
        if abs(correlation) > TELLING_RANKS:
            yield column.name, f"its rank correlation with the target is {correlation:.4f}"


def leaking_columns(x: Floats, y: Ints, classes: int) -> tuple[int, ...]:
    """Return the columns in which the value ranges of the classes do not overlap.

    Each class has values in more than half of its rows, but for the one that a missing value tells: a date of
    cancellation leaks, a column that is empty in nearly all rows does not.

    Args:
        x: cells, (N, W); missing ones are NaN.
        y: class indices, (N,); each class has at least one row.
        classes: K, at least 2.
    """
    low, high, filled = _class_ranges(x, y, classes)
    order = low.argsort(axis=0)
    apart = np.take_along_axis(low, order, 0)[1:] > np.take_along_axis(high, order, 0)[:-1]  # (K - 1, W)
    rows = np.bincount(y, minlength=classes)[:, None]  # (K, 1)
    by_gaps = (rows - filled).argmax(axis=0) == np.arange(classes)[:, None]  # (K, W)
    told = (2 * filled > rows) | by_gaps
    return tuple(np.flatnonzero(apart.all(axis=0) & told.all(axis=0)).tolist())


def _class_ranges(x: Floats, y: Ints, classes: int) -> tuple[Floats, Floats, Ints]:
    """Return least, largest and number of the values of each class, (K, W); inf, -inf and 0 where it has none."""
    low = np.full((classes, x.shape[1]), np.inf, dtype=np.float32)
    high, filled = -low, np.zeros(low.shape, dtype=np.int64)
    for start in range(0, len(x), CHUNK_ROWS):
        labels = y[start : start + CHUNK_ROWS]
        order = labels.argsort(kind="stable")
        rows = x[start : start + CHUNK_ROWS][order]
        present, first = np.unique(labels[order], return_index=True)
        low[present] = np.fmin(low[present], np.fmin.reduceat(rows, first))
        high[present] = np.fmax(high[present], np.fmax.reduceat(rows, first))
        filled[present] += np.add.reduceat(~np.isnan(rows), first, dtype=np.int64)
    return low, high, filled
