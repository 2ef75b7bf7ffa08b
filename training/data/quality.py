"""Find suspicious columns in readable data: those that leak the class.

N is rows, F features and K classes everywhere. Memory: one chunk.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.preprocessing.scaler import CHUNK_ROWS

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def leaking_columns(x: Floats, y: Ints, classes: int) -> tuple[int, ...]:
    """Return the columns in which the value ranges of the classes do not overlap.

    Args:
        x: raw features, (N, F).
        y: class indices, (N,); each class has at least one row.
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
