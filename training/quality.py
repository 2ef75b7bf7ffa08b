"""What may be wrong with rows that can be read: repeated ones, and columns that give the class away; warns nobody.

N is rows, F features and K classes everywhere. Memory: one chunk.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from training.scaling import CHUNK_ROWS

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Marks = npt.NDArray[np.uint64]

PRIME = np.uint64(0x9E3779B97F4A7C15)
HALF = np.uint64(32)
EXACT_IN_FLOAT64 = 2**53


def mark(marks: Marks, column: npt.NDArray[Any]) -> None:
    """Mix one more column, shape (n,), of float64 or integers, into the marks of rows that stand in the file.

    Two rows get the same 64 bits if all their values are equal; two different rows of ten million get them once in a
    hundred thousand files.
    """
    values = column + 0.0  # -0.0 is 0.0
    bits = values.view(np.uint64)
    if column.dtype.kind in "iu" and (large := np.abs(values) > EXACT_IN_FLOAT64).any():
        bits[large] ^= column[large].astype(np.uint64) * PRIME
    marks ^= bits
    marks *= PRIME
    marks ^= marks >> HALF


def count_duplicates(train: Marks, test: Marks) -> tuple[int, int]:
    """Count rows that are equal to another one, features and class, as they stand in the file.

    Args:
        train: marks of the rows of one split, (N,).
        test: of the other, (M,).

    Returns:
        How many of all rows repeat one that was counted already, and how many test rows are training rows too.
    """
    known, unseen = np.sort(train), np.sort(test)
    shared = known[np.searchsorted(known, unseen).clip(max=len(known) - 1)] == unseen  # (M,)
    repeated = _repeats(known) + _repeats(unseen[~shared]) + int(shared.sum())
    return repeated, int(shared.sum())


def telling_columns(x: Floats, y: Ints, classes: int) -> tuple[int, ...]:
    """Return the columns in which no class has a value within the range of another one.

    Args:
        x: raw features, (N, F).
        y: class indices, (N,); each class has a row.
        classes: K, at least 2.
    """
    low, high = _class_ranges(x, y, classes)  # (K, F), (K, F)
    order = low.argsort(axis=0)
    apart = np.take_along_axis(low, order, 0)[1:] > np.take_along_axis(high, order, 0)[:-1]  # (K - 1, F)
    return tuple(np.flatnonzero(apart.all(axis=0)).tolist())


def _class_ranges(x: Floats, y: Ints, classes: int) -> tuple[Floats, Floats]:
    low = np.full((classes, x.shape[1]), np.inf, dtype=np.float32)
    high = -low
    for start in range(0, len(x), CHUNK_ROWS):
        labels = y[start : start + CHUNK_ROWS]
        order = labels.argsort(kind="stable")
        rows = x[start : start + CHUNK_ROWS][order]
        present, first = np.unique(labels[order], return_index=True)
        low[present] = np.minimum(low[present], np.minimum.reduceat(rows, first))
        high[present] = np.maximum(high[present], np.maximum.reduceat(rows, first))
    return low, high


def _repeats(ordered: npt.NDArray[np.uint64]) -> int:
    return int((ordered[1:] == ordered[:-1]).sum())
