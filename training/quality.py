"""What may be wrong with rows that can be read: repeated ones, and columns that give the class away; warns nobody.

N is rows, F features and K classes everywhere. Memory: eight bytes a row, and one chunk.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.scaling import CHUNK_ROWS

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Labelled = tuple[Floats, Ints]

PRIME = np.uint64(0x9E3779B97F4A7C15)
HALF = np.uint64(32)


def count_duplicates(train: Labelled, test: Labelled) -> tuple[int, int]:
    """Count rows that are equal to another one, features and class.

    Args:
        train: features (N, F) and class indices (N,) of one split.
        test: of the other.

    Returns:
        How many of all rows repeat one that was counted already, and how many test rows are training rows too.
    """
    known = np.sort(_hashes(*train))  # (N,)
    unseen = np.sort(_hashes(*test))  # (M,)
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


def _hashes(x: Floats, y: Ints) -> npt.NDArray[np.uint64]:
    """Return 64 bits a row, shape (N,); two different rows of ten million collide once in a hundred thousand files."""
    hashes = np.empty(len(x), dtype=np.uint64)
    for start in range(0, len(x), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        bits = (x[rows] + np.float32(0)).view(np.uint32)  # (n, F); -0.0 is 0.0
        mixed = y[rows].astype(np.uint64)  # (n,)
        for column in bits.T:
            mixed = (mixed ^ column) * PRIME
            mixed ^= mixed >> HALF
        hashes[rows] = mixed
    return hashes


def _repeats(ordered: npt.NDArray[np.uint64]) -> int:
    return int((ordered[1:] == ordered[:-1]).sum())
